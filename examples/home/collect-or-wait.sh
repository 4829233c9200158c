#!/bin/sh
# The container's entry point. Docker restarts it whatever its exit status. But if something has to
# be fixed first (2: usage error, 3: credentials refused), repeated logins might lock the account:
# then it waits for an hour before it exits, or until it is stopped or sent HUP.
[ "${1-}" = collect ] || exec sst-cloud "$@"

# A signal interrupts `wait`: wait again, unless the program has ended meanwhile.
wait_for() {
  while wait "$1"; status=$?; [ "$status" -gt 128 ] && kill -0 "$1" 2>/dev/null; do :; done
  if [ "$status" -gt 128 ]; then
    wait "$1" 2>/dev/null
    last=$?
    [ "$last" -eq 127 ] || status=$last
  fi
}

trap 'kill -TERM "$child"' INT TERM
trap 'kill -HUP "$child"' HUP

sst-cloud "$@" &
child=$!
wait_for "$child"
outcome=$status

case $outcome in 2 | 3)
  echo "Waiting an hour before the next attempt; to retry now: docker compose restart" >&2
  sleep 3600 &
  child=$!
  wait_for "$child"
  ;;
esac
exit "$outcome"
