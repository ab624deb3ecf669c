"""Logins that the proxy takes part in; those that only pass are read by `protocol.sasl` and `proxy.identity`.

    initiation.py     the proxy logs in at the brokers, for clients that do not
    tokens.py         access tokens for that: from a file, or by client credentials
    termination.py    the proxy is who clients log in at
    credentials.py    salted credentials of clients, in a file
    scram.py          the server's side of SCRAM
    bearer.py         access tokens of clients, verified by the keys of who issued them

Imported where the configuration asks for it: a proxy without logins of its own does not pay for them.
"""
