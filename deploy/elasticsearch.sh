#!/usr/bin/env bash
# Starts Elasticsearch (the arguments) with a user of the site's own; elasticsearch-roles.yml says what he may.
set -euo pipefail

elasticsearch-users userdel llmrec > /dev/null 2>&1 || true  # of an earlier start, maybe with another password
elasticsearch-users useradd llmrec -p "$ELASTICSEARCH_PASSWORD" -r llmrec
unset ELASTICSEARCH_PASSWORD
exec "$@"
