#!/usr/bin/env bash
# The recommenders of the demo catalogues, trained on simulated shoppers; half a minute a domain on one core. With the
# same code, seed and one thread the files come out the same.
#   training/runs/demo.sh [DOMAIN …]       default: games food home
#
# OUT     folder for the simulated datasets and the text vectors   (default: runs/demo)
# DOMAINS folder that holds the domain folders                     (default: assets/domains)
set -euo pipefail
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-.venv/bin/python} OUT=${OUT:-runs/demo} DOMAINS=${DOMAINS:-assets/domains}
run() { echo "── $*" && "$PYTHON" -m "$@"; }
[ $# -gt 0 ] || set -- games food home

for domain in "$@"; do
    run training.simulate_shoppers --domain "$DOMAINS/$domain" --out "$OUT/$domain"
    # Each person has one position with a rationale and seven without; its weight makes the model listen to both.
    run training.train_recommender --data "$OUT/$domain" --rationales "$OUT/$domain/rationales.jsonl" \
        --backbone sasrec --variant gated --ranker late --start text --loss softmax --negatives 0 --max-length 20 \
        --rationale-weight 4 --epochs 40 --patience 6 --seed 0 --threads 1 --cache "$OUT/vectors" --test \
        --out "$OUT/$domain/recommender"
    mkdir -p "$DOMAINS/$domain/recommender"
    install -m 644 "$OUT/$domain/recommender/model.safetensors" "$OUT/$domain/recommender/meta.json" \
        "$DOMAINS/$domain/recommender/"
done
