"""The admission webhook: a Kubernetes API server asks here before it takes a pod or a ConfigMap of rules.

    POST /mutate     pods of namespaces labelled `wiremask.dev/inject: "true"`: adds the sidecar, or refuses
    POST /guard      what is done to such pods later: a changed sidecar image, a shell in the sidecar, its memory
    POST /validate   ConfigMaps labelled `wiremask.dev/rules: "true"`: refuses rules that `wiremask check` refuses

`server.py` speaks HTTPS (`certificates.py`), `review.py` reads and writes the API server's AdmissionReview, and one
file answers for each path: `injection.py`, `guard.py`, `rulemaps.py`. `isolation.py` says what may not be beside a
sidecar (`sidecar.py`). `cluster.py` asks the API server whether a namespace has the rules that its sidecars will mount.
What cannot be read, or asked, is refused: `failurePolicy: Fail` says the same for a webhook that is down.

Nothing here has side effects, so a dry run is answered like any other; and a pod that has the sidecar already gets the
same one, so a second pass changes nothing.
"""
