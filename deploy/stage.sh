#!/bin/sh
# What the build stage of the image makes: a virtual environment with wiremask and what it needs at run time, no more.
#
#     deploy/stage.sh FOLDER [PYTHON]
#
# FOLDER/wiremask.cdx.json lists what is in it (CycloneDX). The Dockerfile runs this; so does a test, which then starts
# the proxy with nothing but that folder.
set -eu
folder=$1
python=${2:-python3}
cd "$(dirname "$0")/.."
export PIP_CONSTRAINT="$PWD/requirements.lock" PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_QUIET=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A copy, so that the compiler's output stays out of the sources.
mkdir "$work/source"
tar --exclude=./.git --exclude=./.venv --exclude='*.so' --exclude='*/build' -cf - . | tar -xf - -C "$work/source"
"$python" -m venv "$work/build"
"$work/build/bin/python" -m pip install cyclonedx-bom
"$work/build/bin/python" -m pip wheel --no-deps --wheel-dir "$work" "$work/source"

"$python" -m venv --without-pip "$folder"
# Newer than the pip of the venv where that is old; only this step needs `--python`.
"$work/build/bin/python" -m pip --python "$folder" install "$(echo "$work"/wiremask-*.whl)[webhook]"
"$work/build/bin/python" -m cyclonedx_py environment --output-reproducible \
    --output-file "$folder/wiremask.cdx.json" "$folder/bin/python"

# Sources of compiled modules and tests of libraries are of no use at run time.
find "$folder/lib" -type f \( -name '*.pyx' -o -name '*.pxd' -o -name '*.c' -o -name '*.h' \) -delete
find "$folder/lib" -type d -name tests -prune -exec rm -rf {} +
