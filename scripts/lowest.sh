# Sourced by scripts/test --lowest: enters .venv-lowest, which has Python 3.10 and the lowest versions of all
# dependencies that pyproject.toml allows; the development tools are those of constraints.txt.
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
export VIRTUAL_ENV="$PWD/.venv-lowest"

if [ ! -x "$VIRTUAL_ENV/bin/pytest" ]; then
  for python in ${PYTHON:-python3.10 $HOME/.pyenv/versions/3.10.*/bin/python}; do # a pyenv shim may be there and not run
    "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 10))' 2>/dev/null && break
    python=""
  done
  if [ -z "$python" ]; then
    echo "The lowest versions need Python 3.10, which was not found: set PYTHON to such an interpreter" >&2
    exit 1
  fi
  echo "Installing the lowest versions into .venv-lowest (several GB where torch comes with CUDA) ..." >&2
  "$python" -m venv "$VIRTUAL_ENV"
  "$VIRTUAL_ENV/bin/python" - >"$VIRTUAL_ENV/lowest.txt" <<'PYTHON'
import pathlib, re

project = pathlib.Path("pyproject.toml").read_text()
declared = project[project.index("\ndependencies = [") : project.index("\ndev = [")]
print(*(f"{name}=={version}" for name, version in re.findall(r'"([\w-]+)>=([\d.]+)"', declared)), sep="\n")
print(pathlib.Path("constraints.txt").read_text().partition("# development\n")[2])
PYTHON
  "$VIRTUAL_ENV/bin/python" -m pip install --quiet --disable-pip-version-check -c "$VIRTUAL_ENV/lowest.txt" -e ".[dev]"
fi
export PATH="$VIRTUAL_ENV/bin:$PATH"
