#!/bin/sh
# The program of the container. Docker restarts what ends, whatever its exit status; but where
# somebody must mend something first (2: wrong use, 3: the cloud refuses us), asking again and again
# might lock the account. `collect` then ends only after an hour, or when it is stopped or sent HUP.
[ "${1-}" = collect ] || exec sst-cloud "$@"

wait_for() {
  while wait "$1"; status=$?; [ "$status" -gt 128 ] && kill -0 "$1" 2>/dev/null; do :; done
}

trap 'kill -TERM "$child"' INT TERM
trap 'kill -HUP "$child"' HUP

sst-cloud "$@" &
child=$!
wait_for "$child"
outcome=$status

case $outcome in 2 | 3)
  echo "Nothing is tried for an hour; to try at once: docker compose restart" >&2
  sleep 3600 &
  child=$!
  wait_for "$child"
  ;;
esac
exit "$outcome"
