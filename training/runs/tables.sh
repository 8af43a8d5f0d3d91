#!/usr/bin/env bash
# The tables of recommenders on one dataset: every variant with every seed, then one evaluation of them all. A run that
# is complete, with the same flags and data, is skipped: the same command may be given again at any time.
#
#   RATIONALES=rationales.jsonl.gz training/runs/tables.sh games data/games      # food, home: alike
#   training/runs/tables.sh movielens data/ml-100k                               # IDs only, so no rationales
#
# The first argument names the results, the second is the dataset folder. For movielens it is made where it is missing,
# from MOVIELENS=ml-100k/ml-100k.inter, which comes with the package recbole:
#   pip download --no-deps recbole && unzip -j recbole-*.whl '*/ml-100k.i*' -d ml-100k
#
# RATIONALES  the student's rationales for all users                     (default: assets/rationales/<name>.jsonl.gz)
# TEACHER     the teacher's, if there are any: SLIM− and all others, on the users that it covers, in a JSON of its own
# MISSING     what to do without for users whose rationale lacks the steps to read: none or skip   (default: refuse)
# OUT         folder for the runs                                        (default: runs/tables/<name>)
# RESULTS     folder for recommenders_<name>[_teacher].json              (default: assets/results)
# SEEDS       training seeds                                             (default: "0 1 2 3 4")
# JOBS        trainings side by side, THREADS threads each: one thread each is fastest on a few cores  (cores, 1)
# EPOCHS      at most so many epochs                                     (default: train_recommender's)
# ONLY        a pattern of run names, e.g. 'sasrec-*'                    (default: all)
# EVALUATE    further flags of evaluate, e.g. "--student-meta part-0.jsonl.meta.json --machine-price 0.1"
set -euo pipefail
cd "$(dirname "$0")/../.."

# ── Hyperparameters, all of them. Chosen on the validation position of Games (seed 0), never on the test; see README. ──
declare -A BACKBONE=(
    [sasrec]="--dropout 0.5 --patience 8"
    [gru4rec]="--dropout 0.5 --patience 8"
    [srgnn]="--dropout 0.5 --patience 8"
)
declare -A VARIANT=(
    [id]="--variant id --loss softmax --negatives 0 --hidden 128"
    [spectral]="--variant id --loss softmax --negatives 0 --hidden 128 --start purchases" # IDs, not from random ones
    [plus]="--variant plus --loss softmax --start text"
    [fused]="--variant fused --loss softmax --start text --reads items" # the paper's SLIM: Eq. 6
    [gated]="--variant gated --loss softmax --start text"
)
declare -A BOTH=( # of one backbone in one variant; they come last
    [sasrec-id]="--loss bce --negatives 512 --hidden 256 --dropout 0.6"
)
declare -A TEXT=(
    [pooled]="--loss softmax --start text" # the paper's: Eq. 7
    [late]="--loss softmax --start text"
)
# ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

name=${1:?names the results: games, food, home, movielens} data=${2:?is the dataset folder}
PYTHON=${PYTHON:-.venv/bin/python}
OUT=${OUT:-runs/tables/$name} RESULTS=${RESULTS:-assets/results} SEEDS=${SEEDS:-0 1 2 3 4}
JOBS=${JOBS:-$(nproc)} THREADS=${THREADS:-1} ONLY=${ONLY:-*} TEACHER=${TEACHER:-}
RATIONALES=${RATIONALES:-assets/rationales/$name.jsonl.gz}
backbones="sasrec gru4rec srgnn" variants="id spectral plus fused gated" texts="pooled late"
if [ "$name" = movielens ]; then
    BACKBONE[srgnn]+=" --max-length 10" # its sequences are long, and a graph of each prefix costs the cube of that
    variants="id spectral" texts="" TEACHER="" RATIONALES=""
    [ -f "$data/sequences.tsv" ] || "$PYTHON" -m training.prepare_data --out "$data" \
        --reviews "${MOVIELENS:?names ml-100k.inter, see the head of this file}"
elif [ ! -f "$RATIONALES" ]; then
    echo "There is no $RATIONALES. Name the rationales with RATIONALES=FILE, or write them first:" >&2
    echo "$PYTHON -m training.generate_rationales --data $data --out FILE" >&2
    exit 1
fi
mkdir -p "$OUT"
dataset=$(cat "$data/items.tsv" "$data/sequences.tsv" | sha256sum)

# train NAME SEED WRITER FLAGS…: one run with the rationales of WRITER (student, teacher, nobody), unless it is there
# already: `made_by` holds what decides its result.
train() {
    local folder="$OUT/$1-seed$2" flags=(--seed "$2" ${EPOCHS:+--epochs "$EPOCHS"} "${@:4}") file=/dev/null made_by
    case $3 in
    student) file=$RATIONALES ;;
    teacher) file=$TEACHER ;;
    esac
    made_by="${flags[*]} $dataset $(sha256sum <"$file")"
    [ -f "$folder/meta.json" ] && [ "$(cat "$folder/made_by" 2>/dev/null)" = "$made_by" ] && return
    mkdir -p "$folder" && rm -f "$folder/meta.json" && echo "$made_by" >"$folder/made_by"
    [ "$3" = nobody ] || flags+=(--rationales "$file")
    echo "── $folder: ${flags[*]}"
    "$PYTHON" -m training.train_recommender --data "$data" "${flags[@]}" --threads "$THREADS" --cache "$OUT/vectors" \
        --out "$folder" &>"$folder/log" || { echo "$folder failed: $(tail -n 1 "$folder/log")" >&2 && return 1; }
}

# runs SEED WRITER SUFFIX VARIANTS STEPS [FLAGS]: the lines that `train` takes; FLAGS go to what reads rationales.
runs() {
    local backbone variant ranker steps
    for ranker in $texts; do
        for steps in $5; do
            echo "text-$ranker$([ "$steps" = 1,2,3 ] || echo "-step$steps")$3 $1 $2" \
                "--variant text --ranker $ranker --steps $steps ${TEXT[$ranker]} ${6:-}"
        done
    done
    for backbone in $backbones; do
        for variant in $4; do
            local flags="--backbone $backbone ${VARIANT[$variant]} ${BACKBONE[$backbone]}"
            flags+=" ${BOTH[$backbone-$variant]:-}"
            case $variant in
            fused | gated) echo "$backbone-$variant$3 $1 $2 $flags ${6:-}" ;;
            *) echo "$backbone-$variant$3 $1 nobody $flags" ;;
            esac
        done
    done
}

# evaluate FILE FLAGS…: the runs of the names that it reads; what reads rationales against its backbone, the student
# against the teacher; then the tables.
evaluate() {
    local out=$1 run seed folders all rival rivals given=()
    shift
    mapfile -t all
    has() { [[ " ${all[*]} " == *" $1 "* ]]; }
    for run in "${all[@]}"; do
        folders=
        for seed in $SEEDS; do folders+=",$OUT/$run-seed$seed"; done
        given+=("--run=$run=${folders:1}")
        case $run in
        *-fused | *-gated)
            rivals=
            for rival in id spectral plus; do ! has "${run%-*}-$rival" || rivals+=",${run%-*}-$rival"; done
            [ -z "$rivals" ] || given+=("--against=$run:${rivals:1}")
            ;;
        *-spectral) ! has "${run%-*}-id" || given+=("--against=$run:${run%-*}-id") ;;
        *-teacher) ! has "${run%-teacher}" || given+=("--against=${run%-teacher}:$run") ;;
        esac
    done
    # shellcheck disable=SC2086 # several flags in one variable
    "$PYTHON" -m training.evaluate --data "$data" --cache "$OUT/vectors" --threads "$THREADS" --out "$out" \
        "${given[@]}" "$@" ${EVALUATE:-}
    "$PYTHON" -m training.tables_markdown "$out"
}

export -f train
export PYTHON OUT data dataset EPOCHS=${EPOCHS:-} THREADS RATIONALES TEACHER
do_all() { xargs -r -P "$1" -L 1 bash -c 'train "$@"' train; } # lines of runs → trainings; fails if one of them does
# shellcheck disable=SC2053 # a pattern
chosen() { while read -r run rest; do [[ $run != $ONLY ]] || echo "$run $rest"; done; }
students() { runs "$1" student "" "$variants" "1,2,3 1 2 3" "${MISSING:+--missing $MISSING}" | chosen; }
teachers() { [ -z "$TEACHER" ] || runs "$1" teacher -teacher fused 1,2,3 "--missing skip" | chosen; }
names() { cut -d" " -f1; }

# The first of each kind encodes the texts that the others read, so they run alone.
[ -z "$texts" ] || variants="" students "${SEEDS%% *}" | do_all 1
for seed in $SEEDS; do students "$seed" && teachers "$seed"; done | do_all "$JOBS"

# shellcheck disable=SC2086 # none, or one
evaluate "$RESULTS/recommenders_$name.json" ${texts:+--baseline=all} ${RATIONALES:+--rationales="$RATIONALES"} \
    < <(students 0 | names)
[ -z "$TEACHER" ] || evaluate "$RESULTS/recommenders_${name}_teacher.json" --baseline=all --common-users \
    --rationales="$RATIONALES" --rationales="$TEACHER" --teacher="$TEACHER" < <((students 0 && teachers 0) | names)
