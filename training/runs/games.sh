#!/usr/bin/env bash
# The chain of the Games data: prepare → collect → distill → export → generate → evaluate. Every stage continues where
# it was interrupted, so the same command may be given again at any time.
#
#   REVIEWS=Video_Games_5.json.gz META=meta_Video_Games.json.gz training/runs/games.sh
#
# OUT        folder for everything that is made                                      (default: runs/games)
# DATASET    a dataset folder that is ready; then nothing is prepared                (default: OUT/games, from REVIEWS)
# TEACHER    the teacher's rationales to learn from; collected when they are missing (default: OUT/teacher.jsonl)
# TEACHER_TEST  the same for the test position, of other users                       (default: OUT/teacher_test.jsonl)
# TEACHER_URL, TEACHER_MODEL, MAX_COST   what collects them (the key: SLIM_TEACHER_KEY); TRAIN_USERS, TEST_USERS: how many
# DATA       further --data of distill, e.g. "--data assets/domains/games"
# DISTILL    further flags of distill, e.g. "--preset llama2-7b" with accelerate and a GPU
# STUDENT    name of the student folder to write                                     (default: OUT/student)
# SHARDS     processes that generate side by side (on a CPU one a core; on a GPU 1)  (default: 2)
set -euo pipefail
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-.venv/bin/python}
OUT=${OUT:-runs/games} SHARDS=${SHARDS:-2} MAX_COST=${MAX_COST:-5}
DATASET=${DATASET:-$OUT/games} STUDENT=${STUDENT:-$OUT/student}
TEACHER=${TEACHER:-$OUT/teacher.jsonl} TEACHER_TEST=${TEACHER_TEST:-$OUT/teacher_test.jsonl}
run() { echo "── $*" && "$PYTHON" -m "$@"; }
mkdir -p "$OUT"

# 1. The paper's sample: 5-core, 3,000 users drawn with seed 123.
[ -f "$DATASET/sequences.tsv" ] ||
    run training.prepare_data --reviews "${REVIEWS:?names the review file}" ${META:+--meta "$META"} \
        --out "$DATASET" --k-core 5 --users 3000 --seed 123

# 2. The teacher, from histories without their last three items; for the test from other users' without the last one.
if [ ! -f "$TEACHER_TEST" ]; then
    tail -n +2 "$DATASET/sequences.tsv" | cut -f1 | shuf --random-source=<(yes) >"$OUT/users"
    head -n "${TRAIN_USERS:-1600}" "$OUT/users" >"$OUT/train_users"
    tail -n "${TEST_USERS:-200}" "$OUT/users" >"$OUT/test_users"
    collect() {
        run training.collect_rationales --data "$DATASET" --yes --max-cost "$MAX_COST" \
            --url "${TEACHER_URL:?names the teacher}" --model "${TEACHER_MODEL:?names the teacher}" "$@"
    }
    [ -f "$TEACHER" ] || collect --out "$TEACHER" --positions train --users-file "$OUT/train_users"
    collect --out "$TEACHER_TEST" --positions test --users-file "$OUT/test_users"
fi

# 3. The student.
resume=$([ -d "$OUT/run/checkpoint" ] && echo --resume || true)
# shellcheck disable=SC2086 # several flags in one variable
[ -f "$OUT/run/meta.json" ] ||
    run training.distill --data "$TEACHER=$DATASET" ${DATA:-} --out "$OUT/run" ${DISTILL:-} $resume
# shellcheck disable=SC2086
[ -f "$STUDENT/adapter.gguf" ] ||
    run training.export_adapter "$OUT/run/adapter" --out "$STUDENT" --data "$TEACHER=$DATASET" ${DATA:-}

# 4. Its rationales for all users, for training (without the last three items) and for the test (without the last one).
pids=()
for n in $(seq 0 $((SHARDS - 1))); do
    run training.generate_rationales --data "$DATASET" --student "$STUDENT" --shard "$n/$SHARDS" \
        --threads $(($(nproc) / SHARDS > 0 ? $(nproc) / SHARDS : 1)) --out "$OUT/rationales-$n.jsonl" &
    pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid"; done
cat "$OUT"/rationales-[0-9]*.jsonl >"$OUT/rationales.jsonl"

# 5. Student, untuned base and teacher on the test users; with the form held by the app's grammar, and free.
"$PYTHON" -c 'import json, sys; [print(json.loads(line)["user_id"]) for line in open(sys.argv[1])]' \
    "$TEACHER_TEST" >"$OUT/test_users"
write() { run training.generate_rationales --data "$DATASET" --positions test --users-file "$OUT/test_users" "$@"; }
write --student "$STUDENT" --engine llama.cpp --grammar --batch 8 --out "$OUT/test-student.jsonl"
write --student "$STUDENT" --out "$OUT/test-student-free.jsonl"
write --student base --engine llama.cpp --grammar --batch 8 --out "$OUT/test-base.jsonl"
write --student base --out "$OUT/test-base-free.jsonl"
run training.evaluate_rationales --data "$DATASET" --teacher "$TEACHER_TEST" --student "$STUDENT" \
    --writer "student=$OUT/test-student.jsonl" --writer "student, no grammar=$OUT/test-student-free.jsonl" \
    --writer "base=$OUT/test-base.jsonl" --writer "base, no grammar=$OUT/test-base-free.jsonl" \
    --cache "$OUT/vectors" --out "$OUT/results/rationales_games.json"
