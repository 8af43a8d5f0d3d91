"""Running texts of one transformers model on one device: prompts are read one by one, then every row grows by a token.

All tensors keep their place and shape, so on CUDA a step is captured once as a graph and replayed: launching its
thousand kernels one by one would take longer than reading the weights.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

from slim_app.reasoners.hf_attention import use_grouped
from slim_app.reasoners.penalties import Penalties, Scorer

log = logging.getLogger(__name__)
REACH = 256
"""Attention reads this many columns or a multiple of them: as few as the text needs, with few graphs."""
COMPILED_REACH = 512
"""The reach for which a step is compiled, a minute's work: that of a usual prompt (200 tokens) and its rationale."""


@dataclass
class Place:
    """Where the cache's layers put what comes next."""

    rows: torch.Tensor
    """(B,) = 0 … B-1"""
    last: torch.Tensor
    """(B,) the column of each row's newest token."""
    length: int
    reach: int
    row: int | None = None
    """The row whose prompt is read; None while every row gets a token."""
    transposed: bool = False
    """Keys lie as (B, heads, width, length), in the order in which `hf_attention` reads them: half the time."""


class Rows(CacheLayerMixin):
    """Keys and values of one layer, (B, heads, length, width); each row has its own length."""

    is_compileable = True
    is_sliding = False

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        def empty(like: torch.Tensor) -> torch.Tensor:
            return like.new_zeros(len(self.place.rows), like.shape[1], self.place.length, like.shape[3])

        self.keys, self.values = empty(key_states), empty(value_states)
        if self.place.transposed:
            self.keys = self.keys.transpose(2, 3).contiguous().transpose(2, 3)
        self.is_initialized = True

    def update(self, key_states, value_states, *args, **kwargs) -> tuple[torch.Tensor, torch.Tensor]:
        """Stores them; returns all that this call's queries may see."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        place = self.place
        if place.row is not None:
            self.keys[place.row, :, : key_states.shape[2]] = key_states[0]
            self.values[place.row, :, : key_states.shape[2]] = value_states[0]
            return key_states, value_states
        self.keys[place.rows, :, place.last] = key_states[:, :, 0]
        self.values[place.rows, :, place.last] = value_states[:, :, 0]
        return self.keys[:, :, : place.reach], self.values[:, :, : place.reach]

    def get_mask_sizes(self, query_length: Any) -> tuple[int, int]:
        return (self.place.reach if self.place.row is None else query_length), 0

    def get_seq_length(self) -> int:
        """As if every row were full: which columns a row may see is said by the mask alone."""
        return self.place.reach - 1 if self.place.row is None else 0

    def get_max_length(self) -> int:
        return self.place.length

    get_max_cache_shape = get_max_length  # its name in earlier releases


class Slots:
    """`rows` texts of at most `length` tokens each, prompt included; greedy.

    Args:
        model: a causal language model of transformers with full attention in every layer.
        breakers: tokens at which DRY's repeated runs end.
        graphs: capture steps as CUDA graphs (where there is CUDA).
        compiled: let torch.compile fuse the small kernels of a step; takes a minute at the first step.
    """

    def __init__(
        self,
        model: Any,
        rows: int,
        length: int,
        penalties: Penalties | None = None,
        breakers: list[int] | None = None,
        graphs: bool = True,
        compiled: bool = False,
    ) -> None:
        device = next(model.parameters()).device
        self.rows, self.length, self._model = rows, length, model
        self._compiled = _compiled(model) if compiled else None
        self._cuda = device.type == "cuda"
        self._graphs: dict[int, torch.cuda.CUDAGraph | None] | None = {} if self._cuda and graphs else None
        self._scorer = Scorer(penalties or Penalties(), rows, length, breakers or [], device)
        self._history = torch.zeros(rows, length, dtype=torch.long, device=device)
        self._columns = torch.arange(length, device=device)
        self._next = torch.zeros(rows, dtype=torch.long, device=device)
        last = torch.zeros(rows, dtype=torch.long, device=device)
        grouped = device.type == "cpu" and use_grouped(model)
        self._place = Place(torch.arange(rows, device=device), last, length, min(REACH, length), transposed=grouped)
        self._cache = Cache(layers=[Rows(self._place) for _ in range(model.config.num_hidden_layers)])
        takes = inspect.signature(model.forward).parameters
        self._fixed = {"cache" if "cache" in takes else "past_key_values": self._cache, "use_cache": True}
        self._positions = "position_ids" in takes  # without: ALiBi, which transformers derives from a 2D mask
        # two copies on the host: one is read while the next one is under way
        self._host = [torch.zeros(rows, dtype=torch.long, pin_memory=self._cuda) for _ in range(2)]

    def reserve(self, tokens: int) -> None:
        """Makes room for texts of this length, prompt included. Only while no text is running."""
        assert tokens <= self.length, "longer than these slots"
        self._place.reach = min(-(-tokens // REACH) * REACH, self.length)
        if self._graphs is not None and self._place.reach not in self._graphs:
            self._graphs[self._place.reach] = self._captured()

    @torch.no_grad()
    def prompt(self, row: int, ids: list[int]) -> int:
        """Begins a text in `row`, whatever was in it; returns its first new token."""
        tokens = torch.tensor([ids], device=self._history.device)
        self._place.row = row
        try:  # on its own and without padding: the text does not depend on what runs beside it
            logits = self._model(input_ids=tokens, logits_to_keep=1, **self._fixed).logits[:, -1]
        finally:
            self._place.row = None
        self._history[row, : len(ids)] = tokens[0]
        self._place.last[row] = len(ids) - 1
        self._scorer.start(row, ids)
        self._choose(logits, slice(row, row + 1))
        return int(self._next[row])

    def step(self) -> Callable[[], list[int]]:
        """Starts one token for every row; the result waits for them. Of two steps under way, read the older one."""
        if not self._cuda:  # nothing is captured: attention reads no more than the longest text
            self._place.reach = min(-(-(int(self._place.last.max()) + 1) // 32) * 32, self.length)
        graph = self._graphs.get(self._place.reach) if self._graphs is not None else None
        if graph is not None:
            graph.replay()
        else:
            self._step()
        if not self._cuda:
            tokens = self._next.tolist()
            return lambda: tokens
        self._host.reverse()
        copy, event = self._host[0], torch.cuda.Event()
        copy.copy_(self._next, non_blocking=True)
        event.record()

        def read() -> list[int]:
            event.synchronize()
            return copy.tolist()

        return read

    @torch.no_grad()
    def _step(self) -> None:
        last, reach = self._place.last, self._place.reach
        seen = self._columns[:reach] <= last[:, None]
        if self._positions:
            mask = torch.zeros(self.rows, 1, 1, reach, dtype=self._model.dtype, device=last.device)
            mask.masked_fill_(~seen[:, None, None], torch.finfo(mask.dtype).min)
            where = {"attention_mask": mask, "position_ids": last[:, None]}
        else:
            where = {"attention_mask": seen.long()}
        call = self._compiled if self._compiled and reach == COMPILED_REACH else self._model
        logits = call(input_ids=self._history.gather(1, last[:, None]), **where, **self._fixed).logits[:, -1]
        self._choose(logits, slice(None))

    def _choose(self, logits: torch.Tensor, rows: slice) -> None:
        """The most likely token of each of these rows is put behind its newest one."""
        history, last = self._history[rows], self._place.last[rows]
        self._scorer.advance(history, last, rows, logits.shape[-1])
        token = self._scorer.scores(logits.float(), history, last, rows).argmax(-1)
        last.add_(1).clamp_(max=self.length - 1)  # an ended row runs on until its place is taken, but stays inside
        history.scatter_(1, last[:, None], token[:, None])
        self._next[rows] = token

    def _captured(self) -> torch.cuda.CUDAGraph | None:
        """A step as a graph; None when this model's step cannot be captured, and then steps run one by one."""
        try:
            self.prompt(0, [0])  # allocates the cache
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(3):  # libraries allocate their workspaces at the first calls
                    self._step()
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            earlier = next((g for g in self._graphs.values() if g is not None), None)
            # other threads (the text encoder) may use CUDA meanwhile
            with torch.cuda.graph(graph, pool=earlier and earlier.pool(), capture_error_mode="thread_local"):
                self._step()
            return graph
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            if self._compiled and self._place.reach == COMPILED_REACH:
                log.warning("torch.compile failed, going on without it: %s", str(error).split("\n")[0])
                self._compiled = None
                return self._captured()
            log.warning("No CUDA graph, going on without it: %s", str(error).split("\n")[0])
            return None


def _compiled(model: Any) -> Callable:
    """The model's forward with fused kernels; its products of one row become kernels that read at full bandwidth."""
    options = {"coordinate_descent_tuning": True} if next(model.parameters()).device.type == "cuda" else None
    backend = "inductor" if options else "aot_eager"  # on a CPU only traced, for tests: nothing to gain there
    return torch.compile(model.forward, fullgraph=True, dynamic=False, backend=backend, options=options)
