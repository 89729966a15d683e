#!/usr/bin/env bash
# Create .venv beside this file, install what the command needs, and run the command inside.
# ./setup_env.sh --help explains the choices.

set -euo pipefail

here=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
venv=$here/.venv
state=$venv/.setup            # this script's records; a .venv made by hand has none
stamp=$state/stamp            # checksum of the inputs of the finished environment
torch_spec=$state/torch       # the TORCH_SPEC it was made with, if any
dev_tools=$state/dev          # exists when the development tools are installed too
unfinished=$state/unfinished  # the TORCH_SPEC of a set-up in progress
log=$state/pip.log

usage() {
    cat <<'HELP'
Usage: ./setup_env.sh [COMMAND [ARGUMENT...]]

Creates .venv beside this script, installs the pinned versions of constraints.txt and the project
itself (editable), then runs COMMAND in this environment, in the current directory. If nothing has
changed since the last set-up, COMMAND runs at once.

    ./setup_env.sh python demos/train_demo.py     train a small GPT with live output
    ./setup_env.sh pytest                         run the tests
    . .venv/bin/activate                          activate the environment in this shell

Installed packages
    For python, gpt2-small and any other COMMAND: PyTorch and the runtime packages (1.2 GB with
    a CPU build). pytest, ruff, mypy, mkdocs, pre-commit, or no COMMAND, add the development
    tools (TransformerLens, transformers, datasets and more; 2.6 GB in all).

Choosing Python
    Default: the first of python3, python3.14, python3.13, python3.12 and python3.11 with
    version 3.11 to 3.14.
    PYTHON=/path/to/python3.12 ./setup_env.sh     uses that one, and recreates .venv if necessary.

Choosing a build of PyTorch
    PyTorch is installed first, with your own pip settings (pip.conf, PIP_INDEX_URL,
    PIP_FIND_LINKS, ...), such as a folder of wheels with a CPU build.
    On Linux the default index has the CUDA build. It also runs without a GPU, but includes
    several gigabytes of CUDA libraries. For another build, add its index from PyTorch's
    installation page, and select the build:

        export PIP_EXTRA_INDEX_URL=<the index that PyTorch's installation page names>
        TORCH_SPEC="torch==2.13.0+cpu" ./setup_env.sh        a CPU build
        TORCH_SPEC="torch==2.13.0+cu130" ./setup_env.sh      a CUDA build

    TORCH_SPEC is passed to pip (a version, a build, or the path of a wheel) and recorded in .venv.
    macOS has one build, which uses Apple's GPUs.

Exit code: COMMAND's exit code; 2 if the environment cannot be created, with the reason.
To start over, delete .venv.
HELP
}

say() { printf 'setup: %s\n' "$*" >&2; }

die() {
    printf 'setup_env.sh: %s\n' "$*" >&2
    exit 2
}

version_of() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null
}

is_supported() {
    case $1 in 3.11 | 3.12 | 3.13 | 3.14) return 0 ;; *) return 1 ;; esac
}

find_python() {
    local candidate version seen=""
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11; do
        if version=$(version_of "$candidate"); then
            if is_supported "$version"; then
                command -v -- "$candidate"
                return
            fi
            seen="$seen, $candidate is $version"
        fi
        [ -z "${PYTHON:-}" ] || break
    done
    [ -n "$seen" ] || seen=", ${PYTHON:-python3} does not run"
    die "Python 3.11 to 3.14 is needed, but ${seen#, }; install one of them, or name it:" \
        "PYTHON=/path/to/python3.12 ./setup_env.sh"
}

# A checksum of the environment's inputs.
fingerprint() {
    {
        "$venv/bin/python" -c 'import sys; print(sys.version)' 2>/dev/null || return
        printf '%s\n' "$venv"
        cat -- "$here/constraints.txt" "$here/pyproject.toml" "$here/setup_env.sh"
    } | cksum
}

# Whether a command comes with the development tools; without a command they are installed too.
needs_dev_tools() {
    case ${1-} in "" | pytest | py.test | ruff | mypy | mkdocs | pre-commit) return 0 ;; *) return 1 ;; esac
}

is_ready() {
    needs_dev_tools "$@" && [ ! -e "$dev_tools" ] && return 1
    [ -f "$stamp" ] && [ "$(cat -- "$stamp")" = "$(fingerprint)" ] || return 1
    [ -z "${TORCH_SPEC:-}" ] || [ "$TORCH_SPEC" = "$(remembered_torch)" ] || return 1
    [ -z "${PYTHON:-}" ] || [ "$(version_of "$PYTHON")" = "$(version_of "$venv/bin/python")" ]
}

remembered_torch() { cat -- "$unfinished" 2>/dev/null || cat -- "$torch_spec" 2>/dev/null || true; }

# Lock out other set-ups of this checkout until this one is done.
lock() {
    command -v flock >/dev/null || return 0
    exec 9<"$here"
    if ! flock --nonblock 9; then
        say "waiting for another set-up of this checkout"
        flock 9
    fi
}

make_venv() {
    local torch=$1 python version reason=""
    if [ -e "$unfinished" ]; then
        reason="an earlier set-up was interrupted"
    elif [ -e "$venv" ] && ! version=$(version_of "$venv/bin/python"); then
        reason="its Python does not run"
    elif [ -e "$venv" ] && [ -n "${PYTHON:-}" ] && [ "$version" != "$(version_of "$PYTHON")" ]; then
        reason="it has Python $version, not that of PYTHON"
    elif [ -e "$venv" ] && ! is_supported "$version"; then
        die "$venv has Python $version, and 3.11 to 3.14 is needed; delete it and run this again"
    fi
    if [ -z "$reason" ] && "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        return
    fi

    python=$(find_python)
    version=$(version_of "$python")
    "$python" -c 'import ensurepip, venv' 2>/dev/null || die "$python cannot create virtual" \
        "environments; install the missing part (on Debian and Ubuntu: python$version-venv)"
    if [ -n "$reason" ]; then
        say "recreating .venv: $reason"
        rm -rf -- "$venv" 2>/dev/null || die "$venv cannot be removed; remove it and run this again"
    fi
    say "creating .venv with Python $version ($python)"
    mark_unfinished "$torch"
    "$python" -m venv "$venv" >"$log" 2>&1 ||
        { tail -n 8 -- "$log" >&2; die "$python could not create $venv; see the lines above"; }
}

mark_unfinished() {
    { mkdir -p -- "$state" && printf '%s' "$1" >"$unfinished"; } 2>/dev/null ||
        die "$here cannot be written to; clone the project to a place that can"
}

# Log pip's output and show its large downloads and the installation itself.
follow() {
    local line large='Downloading (.*/)?([^/]+ \(([0-9]{3,}(\.[0-9]+)? MB|[0-9.]+ GB)\))'
    while IFS= read -r line; do
        printf '%s\n' "$line" >>"$log"
        if [[ $line =~ $large ]]; then say "downloading ${BASH_REMATCH[2]}"; fi
        case $line in "Installing collected packages"*) say "installing files" ;; esac
    done
}

pip_install() {
    if ! (cd -- "$here" && "$venv/bin/python" -m pip install --progress-bar off "$@") \
        </dev/null 2>&1 | follow; then
        explain_failure
    fi
}

explain_failure() {
    local culprit
    culprit=$(sed -nE 's/^ERROR: No matching distribution found for ([^;]*).*/\1/p' "$log" |
        tail -n 1)
    [ -n "$culprit" ] ||
        culprit=$(sed -nE 's/^ *(Collecting|Downloading|Building wheel for) ([^ ]*).*/\2/p' "$log" |
            tail -n 1)
    # Until pip installs the first file, the environment is as it was.
    grep -q '^Installing collected packages' "$log" || rm -f -- "$unfinished"
    grep -v -e ' is ignored: ' -e '^Requirement already' -e '^\[notice\]' -e '^ *$' "$log" |
        tail -n 8 >&2 || true
    die "pip could not install ${culprit:-the packages} (its whole output: $log);" \
        "check the network and your pip settings, then run this again"
}

torch_version() {
    "$venv/bin/python" -c 'from importlib.metadata import version; print(version("torch"))'
}

# Pin the installed PyTorch, which may differ from constraints.txt, for the other packages.
write_constraints() {
    grep -v '^torch==' "$here/constraints.txt" >"$state/constraints.txt"
    [ $# -eq 0 ] || printf '%s\n' "torch==$1" >>"$state/constraints.txt"
}

install() {
    local torch=${TORCH_SPEC:-} extras="" size="1.2 GB"
    if needs_dev_tools "$@" || [ -e "$dev_tools" ]; then extras="[dev]" size="2.6 GB"; fi
    [ -n "$torch" ] || torch=$(remembered_torch)
    make_venv "$torch"
    rm -f -- "$stamp"
    mark_unfinished "$torch"
    : >"$log"

    torch=${torch:-$(grep '^torch==' "$here/constraints.txt")}
    say ".venv will need about $size (more with CUDA); on a fast network this takes 1 to 3 minutes"
    say "installing $torch (1 of 2)"
    write_constraints
    pip_install --constraint "$state/constraints.txt" "$torch" hatchling
    say "installing the other packages (2 of 2)"
    write_constraints "$(torch_version)"
    pip_install --constraint "$state/constraints.txt" --no-build-isolation --editable ".$extras"

    mv -f -- "$unfinished" "$torch_spec"
    [ -z "$extras" ] || : >"$dev_tools"
    fingerprint >"$stamp.new"
    mv -f -- "$stamp.new" "$stamp"
    say "ready: PyTorch $(torch_version) in $venv"
    compare_with_gpu
}

compare_with_gpu() {
    local build has_gpu=no
    build=$(sed -n 's/^cuda.*= //p' "$venv"/lib/python*/site-packages/torch/version.py) || return 0
    if command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1; then has_gpu=yes; fi
    case "$build $has_gpu" in
        "None yes") say "this build of PyTorch does not use the GPU of this machine;" \
            "./setup_env.sh --help explains how to choose a CUDA build" ;;
        None*) ;;
        *no) say "this is a CUDA build of PyTorch, but no GPU was found: it works, but a CPU" \
            "build is smaller; ./setup_env.sh --help explains how to choose one" ;;
    esac
}

set_up() {
    trap 'exit 130' INT
    lock
    is_ready "$@" || install "$@"
    trap - INT
    exec 9<&-
}

case ${1-} in
    -h | --help) usage && exit ;;
    -*) die "there is no option $1; ./setup_env.sh --help shows the usage" ;;
esac
unset PYTHONHOME
is_ready "$@" || set_up "$@"
export VIRTUAL_ENV=$venv PATH=$venv/bin:$PATH
if [ $# -eq 0 ]; then
    say "to run a command in this environment: ./setup_env.sh COMMAND; see ./setup_env.sh --help"
    exit
fi
command -v -- "$1" >/dev/null || {
    printf 'setup_env.sh: there is no command %s in .venv or on your PATH\n' "$1" >&2
    exit 127
}
exec -- "$@"
