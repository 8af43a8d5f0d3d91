#!/usr/bin/env bash
# The whole chain on a handful of rows, in a few minutes on two cores: every stage runs for real, none learns much.
#   training/runs/smoke.sh [FOLDER]        FOLDER (default: a temporary one) keeps what the stages write
set -euo pipefail
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-.venv/bin/python}
export PYTHONPATH=.
out=${1:-}
teacher=
trap '[ -z "$teacher" ] || kill "$teacher"; [ -n "${1:-}" ] || rm -rf "$out"' EXIT
[ -n "$out" ] || out=$(mktemp -d)
run() { echo "── $*" && "$PYTHON" -m "$@"; }

"$PYTHON" training/runs/smoke_data.py "$out"
run training.prepare_data --reviews "$out/reviews.json.gz" --out "$out/shoppers" --k-core 1 --overwrite

"$PYTHON" training/runs/smoke_data.py "$out" --teach &
teacher=$!
for _ in $(seq 100); do [ -s "$out/teacher.url" ] && break || sleep 0.1; done
run training.collect_rationales --data "$out/shoppers" --out "$out/teacher.jsonl" --positions train \
    --url "$(cat "$out/teacher.url")" --model recorded --users 24 --price-in 0 --price-out 0 --yes

run training.distill --preset smollm2-135m --data "$out/teacher.jsonl=$out/shoppers" --out "$out/run" \
    --rank 4 --alpha 8 --steps 3 --warmup 1 --batch 4 --eval-every 3 --eval-rows 2 --log-every 1 --workers 2
run training.export_adapter "$out/run/adapter" --out "$out/student" --data "$out/teacher.jsonl=$out/shoppers" --rows 1
cut -d'"' -f4 "$out/teacher.jsonl" | head -n 6 >"$out/users"
run training.generate_rationales --data "$out/shoppers" --out "$out/student.jsonl" --student "$out/student" \
    --positions train --users-file "$out/users" --batch 6
run training.generate_rationales --data "$out/shoppers" --out "$out/base.jsonl" --student base \
    --positions train --users-file "$out/users" --batch 6 --engine llama.cpp --grammar
head -n 6 "$out/teacher.jsonl" >"$out/teacher-6.jsonl"
run training.evaluate_rationales --data "$out/shoppers" --teacher "$out/teacher-6.jsonl" --student "$out/student" \
    --writer "student=$out/student.jsonl" --writer "base=$out/base.jsonl" --cache "$out/vectors" \
    --out "$out/rationales.json" --note "smoke test: nothing to conclude"

run training.simulate_shoppers --domain assets/domains/games --out "$out/simulated" --shoppers 150
run training.train_recommender --data "$out/simulated" --backbone sasrec --variant gated --epochs 1 \
    --rationales "$out/simulated/rationales.jsonl" --cache "$out/vectors" --out "$out/demo-recommender"
run training.train_recommender --data "$out/shoppers" --backbone sasrec --variant gated --epochs 2 --test \
    --rationales "$out/teacher.jsonl" --missing none --cache "$out/vectors" --out "$out/recommender"
run training.evaluate --data "$out/shoppers" --run "gated=$out/recommender" --against "gated:popularity" \
    --rationales "$out/teacher.jsonl" --baseline all --teacher "$out/teacher.jsonl" --price-in 0.5 --price-out 1.5 \
    --student-meta "$out/student.jsonl.meta.json" --cache "$out/vectors" --out "$out/recommenders.json"
run training.tables_markdown "$out/recommenders.json"
RATIONALES="$out/teacher.jsonl" MISSING=none SEEDS=0 EPOCHS=1 ONLY='sasrec-@(id|spectral|fused)' OUT="$out/tables" \
    RESULTS="$out" PYTHON="$PYTHON" training/runs/tables.sh shoppers "$out/shoppers"
echo "smoke.sh: all stages ran"
