# Sourced by the other scripts: changes to the project's folder and enters a virtual environment; installs if it is empty.
# Uses the environment that is active, otherwise .venv here; PYTHON names the interpreter to create it with.
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-PASSIVE}" # idle threads sleep: 15 times faster on a busy machine

if [ -z "${VIRTUAL_ENV:-}" ]; then
  if [ ! -x .venv/bin/python ]; then
    python="${PYTHON:-python3}"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
      echo "wordmask needs Python 3.10 or newer, got $("$python" --version 2>&1): set PYTHON to a newer interpreter" >&2
      exit 1
    }
    "$python" -m venv .venv
  fi
  . .venv/bin/activate
fi

install_wordmask() {
  python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
}

installed_here() { # true when this folder's own package and the development tools are importable
  python -c '
import importlib.util, pathlib, sys
spec = importlib.util.find_spec("wordmask")
here = spec is not None and pathlib.Path("src/wordmask").samefile(pathlib.Path(spec.origin).parent)
sys.exit(not (here and all(importlib.util.find_spec(tool) for tool in ("xdist", "zensical"))))' 2>/dev/null
}

if ! installed_here; then
  echo "Installing wordmask and what it needs into $VIRTUAL_ENV (about 1.8 GB, a minute or two) ..." >&2
  install_wordmask
fi
