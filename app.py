"""SLIM: recommendations that show their reasoning. Starts the page, the API and the MCP server.

python app.py                     everything at http://127.0.0.1:7860/
python app.py --help              all flags; each can also be set by the environment variable it names
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import sys
import time
from pathlib import Path

STARTED = time.perf_counter()
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def make_parser() -> argparse.ArgumentParser:
    """Every flag takes its default from the environment variable in its help: a Space has no command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.RawTextHelpFormatter)

    def flag(name: str, env: str, default: str, text: str, **kwargs) -> None:
        fallbacks = env.split(" or ")
        value = next((os.environ[key] for key in fallbacks if os.environ.get(key)), default)
        shown = f" (default: {default})" if default else ""
        parser.add_argument(name, default=value, help=f"{text}{shown}\n[env: {env}]", **kwargs)

    flag("--host", "SLIM_HOST or GRADIO_SERVER_NAME", "127.0.0.1", "address to listen on; 0.0.0.0 = all")
    flag("--port", "SLIM_PORT or GRADIO_SERVER_PORT", "7860", "port to listen on", type=int)
    flag(
        "--domains",
        "SLIM_DOMAINS",
        "assets/domains",
        f"domain folders, or folders of them, separated by “{os.pathsep}”; each may hold a\n"
        "recommender/ that training.train_recommender wrote for its items",
    )
    flag(
        "--student",
        "SLIM_STUDENT",
        "smollm2-135m",
        "student under assets/students, a path to such a folder,\nbase (no adapter) or none (recorded examples only);\n"
        "a PEFT folder, a model folder or a Hub id runs on transformers",
    )
    flag(
        "--student-url",
        "SLIM_STUDENT_URL",
        "",
        "OpenAI-compatible server that runs a distilled student, instead of the embedded one",
    )
    flag(
        "--student-model",
        "SLIM_STUDENT_MODEL",
        "",
        "model name at that server; the key comes from SLIM_STUDENT_KEY only",
    )
    flag("--teacher-url", "SLIM_TEACHER_URL", "", "OpenAI-compatible server of the teacher, e.g. https://host/v1")
    flag(
        "--teacher-model",
        "SLIM_TEACHER_MODEL",
        "",
        "model name of the teacher; the key comes from SLIM_TEACHER_KEY only",
    )
    flag(
        "--visitor-teachers",
        "SLIM_VISITOR_TEACHERS",
        "auto",
        "on: visitors may compare with a teacher at an https address of their own, with their own key;\n"
        "off: nobody may; auto: only you, that is where the app listens on this machine alone, and then at any\n"
        "address (behind a reverse proxy choose on or off, or listen on another address)",
        choices=("auto", "on", "off"),
    )
    flag(
        "--machine-price",
        "SLIM_MACHINE_PRICE",
        "",
        "USD that an hour of this machine costs: what the embedded models’ texts cost is counted from it",
        type=_usd,
    )
    flag(
        "--ranker",
        "SLIM_RANKER",
        "reasoning",
        "what ranks until a visitor chooses: reasoning, reasoning+history or pooled (text matching),\n"
        "fused (the reasoning and the catalogue’s trained recommender), sequence (that recommender alone)\n"
        "or history (text matching of the purchases)",
    )
    flag("--encoder", "SLIM_ENCODER", "", "path or Hub id of the text encoder (default: the installed weights)")
    flag(
        "--device",
        "SLIM_DEVICE",
        "cpu",
        "where text encoder and student run: cpu, cuda (the student then on transformers),\n"
        "mps (the encoder alone) or auto (cuda where there is one)",
        choices=("auto", "cpu", "cuda", "mps"),
    )
    flag("--slots", "SLIM_SLOTS", "8", "visitors that the embedded student writes for at the same time", type=int)
    flag("--threads", "SLIM_THREADS", "0", "CPU threads of the embedded student, 0 = all cores", type=int)
    flag("--data", "SLIM_DATA", "data", "folder for what the app keeps between starts: votes, vectors of added domains")
    flag("--results", "SLIM_RESULTS", "assets/results", "folder of evaluations (JSON) that the tab “Evaluation” draws")
    flag("--log-level", "SLIM_LOG_LEVEL", "WARNING", "DEBUG, INFO, WARNING or ERROR")
    return parser


def main(args: argparse.Namespace) -> None:
    """Build the services, then serve until interrupted."""
    from slim_app.errors import SlimError
    from slim_app.reasoners.live_teacher import reach_of
    from slim_app.services import Settings, build_services

    logging.basicConfig(level=args.log_level.upper(), format="%(levelname)s %(name)s: %(message)s")
    settings = Settings(
        domains=tuple(_beside_app(p) for p in args.domains.split(os.pathsep) if p),
        student=args.student,
        student_url=args.student_url,
        student_model=args.student_model,
        student_key=os.environ.get("SLIM_STUDENT_KEY", ""),
        teacher_url=args.teacher_url,
        teacher_model=args.teacher_model,
        teacher_key=os.environ.get("SLIM_TEACHER_KEY", ""),
        encoder=args.encoder,
        device=args.device,
        slots=args.slots,
        threads=args.threads,
        data=Path(args.data),
        results=_beside_app(args.results),
        ranker=args.ranker,
        reach=reach_of(args.visitor_teachers, args.host, os.environ),
        usd_per_hour=args.machine_price,
    )
    services = None
    try:
        services = build_services(settings)
        serve(services, args.host, args.port)
    except SlimError as error:
        for thread in services.warming if services else ():
            thread.join()  # a process must not end while native code is loading
        sys.exit(f"SLIM cannot start: {error}")


def serve(services, host: str, port: int, block: bool = True):
    """Launch the page; prints the URL once it answers. Returns the Blocks when `block` is off."""
    from slim_app.errors import SlimError
    from slim_app.tables import MAX_BYTES
    from slim_app.ui import look
    from slim_app.ui.page import build_page

    page = build_page(services)
    try:
        page.launch(
            server_name=host,
            server_port=port,
            prevent_thread_lock=True,
            quiet=True,
            mcp_server=True,
            run_history=False,
            theme=look.theme(),
            css=look.style(),
            head=look.script(),
            max_file_size=MAX_BYTES,
            footer_links=["api"],
            show_error=True,
        )
    except OSError:
        raise SlimError(f"Port {port} of {host} is taken. Choose another one with --port.") from None
    _answer_tools_with_json(page)
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    print(
        f"SLIM is ready: http://{shown}:{page.server_port}/  (started in {time.perf_counter() - STARTED:.1f} s)",
        flush=True,
    )
    if block:
        page.block_thread()
    return page


def _usd(text: str) -> float | None:
    """An amount; None for an empty text: not known."""
    if not text:
        return None
    try:
        amount = float(text)
    except ValueError:
        amount = math.nan
    if not 0 <= amount < math.inf:
        raise argparse.ArgumentTypeError(f"“{text}” is no amount in USD, e.g. 0.40")
    return amount


def _beside_app(folder: str) -> Path:
    """A folder as given, or beside this file: the app starts from any working directory."""
    here = Path(__file__).resolve().parent / folder
    return Path(folder) if Path(folder).exists() or not here.exists() else here


def _answer_tools_with_json(page) -> None:
    """Gradio hands an MCP client `str(value)`, a Python literal; agents read JSON."""
    tools = page.mcp_server_obj
    as_text = tools.postprocess_output_data

    def as_json(data, root):
        return as_text([json.dumps(d, ensure_ascii=False) if isinstance(d, (dict, list)) else d for d in data], root)

    tools.postprocess_output_data = as_json


if __name__ == "__main__":
    main(make_parser().parse_args())
