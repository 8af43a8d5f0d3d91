#!/usr/bin/env bash
# Checks the Dockerfile without a container engine: carries out its steps, in order, in a Debian root directory.
# Usage, as root, from the project's root:
#   debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm ROOT
#   tests/docker_steps.sh ROOT [start]
# With `start` it then runs CMD until HEALTHCHECK passes, and stops it. PIP_* and SLIM_* variables of the caller are
# passed in, as are values for ARG. It knows what this Dockerfile uses: no stages, no mounts, no .dockerignore.
set -euo pipefail

root=$(realpath "${1:?the root directory is missing}")
start=${2:-}
vars=(PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
user=root dir=/ cmd= health=

for folder in proc dev; do
    mkdir -p "$root/$folder"
    mount --rbind "/$folder" "$root/$folder"
    mount --make-rslave "$root/$folder" # so that unmounting it here unmounts nothing outside
done
unmount() { umount -lR "$root/proc" "$root/dev"; }
trap unmount EXIT
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
mapfile -t passed < <(env | grep -E '^(PIP|SLIM)_' || true)

expand() { # Dockerfile words, one a line, with quotes removed and variables replaced
    env -i "${vars[@]}" /bin/sh -c "for word in $1; do printf '%s\n' \"\$word\"; done"
}

inside() { # a command line, as the current user, in the current folder
    local home
    home=$(awk -F: -v user="$user" '$1 == user {print $6}' "$root/etc/passwd")
    chroot --userspec="$user" "$root" env -i HOME="$home" "${vars[@]}" "${passed[@]}" /bin/sh -c "cd '$dir' && $1" </dev/null
}

while read -r word rest; do
    case $word in
    '' | '#'* | FROM | EXPOSE) continue ;;
    esac
    printf '\n== %s %s\n' "$word" "$rest"
    case $word in
    ARG)
        name=${rest%%=*}
        if [ -n "${!name+set}" ]; then vars+=("$name=${!name}"); else mapfile -t -O "${#vars[@]}" vars < <(expand "$rest"); fi
        ;;
    ENV) mapfile -t -O "${#vars[@]}" vars < <(expand "$rest") ;;
    USER) user=$rest ;;
    WORKDIR)
        dir=$rest
        mkdir -p "$root$dir"
        ;;
    RUN)
        started=$SECONDS
        inside "$rest"
        printf '(%s s)\n' $((SECONDS - started))
        ;;
    COPY)
        mapfile -t words < <(expand "$rest")
        target=$dir/${words[-1]}
        for source in "${words[@]::${#words[@]}-1}"; do
            # As a builder does: the contents of a folder go into the target, a file goes to it.
            if [ -d "$source" ]; then
                mkdir -p "$root$target"
                cp -R "$source/." "$root$target"
            else cp "$source" "$root$target"; fi
        done
        ;;
    HEALTHCHECK) health=${rest#*CMD } ;;
    CMD) cmd=$rest ;;
    *)
        echo "tests/docker_steps.sh does not know $word" >&2
        exit 1
        ;;
    esac
done < <(sed -e ':join' -e '/\\$/{N;s/ *\\\n */ /;b join' -e '}' Dockerfile)

[ "$start" = start ] || exit 0

# ["python", "app.py"] → python app.py
cmd=$(sed -e 's/^\[//' -e 's/\]$//' -e 's/", *"/" "/g' <<<"$cmd")
printf '\n== start as %s: %s\n' "$user" "$cmd"
started=$SECONDS
set -m # a process group of its own, to stop all of it
inside "exec $cmd" &
pid=$!
trap 'kill -- "-$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; unmount' EXIT
until inside "$health" 2>/dev/null; do
    kill -0 "$pid" 2>/dev/null || { echo "it ended before it was healthy" >&2; exit 1; }
    ((SECONDS - started < 180)) || { echo "not healthy after 180 s" >&2; exit 1; }
    sleep 1
done
echo "healthy after $((SECONDS - started)) s"
