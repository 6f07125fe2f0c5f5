# Runs a throw-away PostgreSQL cluster for as long as standard input is open, then removes it.
#
#   supervise.sh BINARIES FOLDER, with the settings in $SETTINGS and $ACCESS
#
# Reads commands (`start`, `stop MODE`) and answers each with `ok` or the end of the log. Whoever started this holds the
# other end of standard input, so the cluster goes however that process ends.
set -u
# Nothing ends this early, not even an answer that nobody reads any more.
trap '' INT TERM HUP PIPE
binaries=$1 folder=$2
log=$folder/log
cd "$folder" || exit 1

create() {
  "$binaries/initdb" -D data -U tester -A trust -E UTF8 --no-sync --no-instructions &&
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=agentevals \
      -addext subjectAltName=DNS:localhost -keyout data/server.key -out data/server.crt &&
    chmod 600 data/server.key &&
    printf '%s\n' "$SETTINGS" >>data/postgresql.conf &&
    printf '%s\n' "$ACCESS" >data/pg_hba.conf
}

answer() {
  if "$@" >>"$log" 2>&1; then echo ok; else tail -n 5 "$log" | tr '\n' ' '; echo; fi
}

answer create
while read -r verb mode; do
  case $verb in
    start) answer "$binaries/pg_ctl" -D data -l "$log" -w -t 60 start ;;
    stop) answer "$binaries/pg_ctl" -D data -m "$mode" -w -t 60 stop ;;
  esac
done
"$binaries/pg_ctl" -D data -m immediate -w -t 10 stop >/dev/null 2>&1 ||
  { read -r postmaster && kill -KILL "$postmaster"; } <data/postmaster.pid
cd / && rm -rf "$folder"
