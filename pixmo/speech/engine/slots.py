"""Slots in which windows are decoded side by side; one that ends makes room for the next.

All state stands in tensors of fixed shape that a step changes in place, without looking at a value
on the host: the device never waits for Python, and a CUDA graph can hold a whole step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from pixmo.speech.engine.network import Network
from pixmo.speech.engine.token_rules import CLOSED, FIRST, FREE, OPENED, TokenRules

FEWEST_ROWS = 4
SEED = 0  # of the sampling at temperatures above 0
WARM_UP_STEPS = 3


@dataclass(frozen=True)
class State:
    """What each slot is at; every tensor's first axis is the slots."""

    token: Tensor  # the last one
    position: Tensor  # its place, from 0
    count: Tensor  # tokens said behind the prompt
    output: Tensor  # [slots, longest], those tokens
    last_is_time: Tensor
    one_before_is_time: Tensor
    last_time: Tensor  # the last timestamp, in steps of 20 ms; -1: none yet
    is_done: Tensor
    sum_logprob: Tensor
    no_speech_prob: Tensor
    language_prob: Tensor  # that the speech is in the prompt's language; 1 where there is but one
    temperature: Tensor
    noise_start: Tensor  # where in the noise its sampling begins

    @classmethod
    def empty(cls, slots: int, longest: int, device: torch.device) -> "State":
        """Slots that have nothing to do."""

        def full(value: float, dtype: torch.dtype) -> Tensor:
            return torch.full((slots,), value, dtype=dtype, device=device)

        whole, real, truth = torch.int64, torch.float32, torch.bool
        return cls(
            token=full(0, whole),
            position=full(0, whole),
            count=full(0, whole),
            output=torch.zeros((slots, longest), dtype=whole, device=device),
            last_is_time=full(False, truth),
            one_before_is_time=full(True, truth),
            last_time=full(-1, whole),
            is_done=full(True, truth),
            sum_logprob=full(0, real),
            no_speech_prob=full(0, real),
            language_prob=full(1, real),
            temperature=full(0, real),
            noise_start=full(0, whole),
        )

    def tensors(self) -> list[Tensor]:
        """All of them."""
        return [getattr(self, field.name) for field in fields(self)]

    def first(self, rows: int) -> "State":
        """The first `rows` slots, as views."""
        return State(*(tensor[:rows] for tensor in self.tensors()))


@dataclass(frozen=True)
class Outcome:
    """What one window was decoded to."""

    tokens: tuple[int, ...]  # without the end of the text
    sum_logprob: float  # of the tokens and the end
    no_speech_prob: float
    language_prob: float


class Slots:
    """A network with room for so many windows at once."""

    def __init__(
        self, network: Network, rules: TokenRules, slots: int, forced_tokens: int | None = None
    ) -> None:
        """`forced_tokens` makes every window that long, so that random weights can be timed."""
        slots = max(slots, FEWEST_ROWS)
        self.network, self.rules, self.slots = network, rules, slots
        self.forced_tokens = forced_tokens
        tokens = min(network.dims.n_text_ctx, len(rules.prompt) + rules.longest)
        # Rows of a multiple of eight keep attention with a mask on its fast path.
        self.cache = network.empty_cache(slots, -(-tokens // 8) * 8)
        self.state = State.empty(slots, rules.longest, network.device)
        self.prompt = torch.tensor(rules.prompt, device=network.device)
        self.times = torch.arange(
            network.dims.n_vocab - rules.timestamp_begin, device=network.device
        )
        self.noise: Tensor | None = None
        self.pool: Any = None  # of the graphs' memory
        self.steppers: dict[tuple[int, bool], Callable[[], None]] = {}

    def sizes(self) -> list[int]:
        """Numbers of rows that a step is made for, largest first: halves, so that few are made.

        On a processor only all: a product with other rows is summed in another order. So in one
        thread a text's probabilities are the same to the last bit whatever stands beside it; in
        several they may differ behind the digits that are kept.
        """
        sizes = [self.slots]
        if self.network.device.type == "cpu":
            return sizes
        while sizes[-1] > FEWEST_ROWS:
            sizes.append(max(FEWEST_ROWS, sizes[-1] // 2))
        return sizes

    def admit(
        self,
        slots: Sequence[int],
        features: Tensor,
        temperatures: Sequence[float],
        seeds: Sequence[int],
    ) -> None:
        """The slots begin to decode the windows of `features`, [len(slots), 1500, D].

        `seeds` decide what is sampled at temperatures above 0.
        """
        index = torch.tensor(slots, device=self.network.device)
        for one in range(len(slots)):  # one by one: see `sizes`
            self.network.hear(features[one : one + 1], index[one : one + 1], self.cache)
        state = self.state
        state.token[index] = self.prompt[0]
        for tensor, value in (
            (state.position, 0),
            (state.count, 0),
            (state.last_is_time, False),
            (state.one_before_is_time, True),
            (state.last_time, -1),
            (state.is_done, False),
            (state.sum_logprob, 0.0),
            (state.no_speech_prob, 0.0),
            (state.language_prob, 1.0),
        ):
            tensor[index] = value
        state.temperature[index] = torch.tensor(temperatures, device=self.network.device)
        starts = [seed % self.rules.longest for seed in seeds]
        state.noise_start[index] = torch.tensor(starts, device=self.network.device)

    def move(self, sources: Sequence[int], targets: Sequence[int]) -> None:
        """The windows of `sources` go on in `targets`."""
        source = torch.tensor(sources, device=self.network.device)
        target = torch.tensor(targets, device=self.network.device)
        for tensor in self.state.tensors():
            tensor[target] = tensor[source]
        cache = self.cache
        for tensor in (cache.own_keys, cache.own_values, cache.sound_keys, cache.sound_values):
            for layer in tensor:
                layer[target] = layer[source]

    def step(self, rows: int, sampling: bool) -> None:
        """Every window in the first `rows` slots has one more token; those that ended wait."""
        state = self.state.first(rows)
        logits = self.network.logits(state.token, state.position, self.cache).float()
        self.choose(state, logits, sampling)

    def choose(self, state: State, logits: Tensor, sampling: bool) -> None:
        """The next token of every row, and what follows from it; `logits` [rows, vocabulary]."""
        rules = self.rules
        begin = rules.timestamp_begin
        self.ask(state, logits)
        is_prompt = state.position + 1 < len(rules.prompt)
        is_active = ~state.is_done & ~is_prompt

        is_closed = state.last_is_time & ~state.one_before_is_time
        mode = torch.full_like(state.count, FREE)
        mode = mode.masked_fill(state.last_is_time & state.one_before_is_time, OPENED)
        mode = mode.masked_fill(is_closed, CLOSED).masked_fill(state.count == 0, FIRST)
        logits = logits + rules.forbidden[mode]
        text, times = logits[:, :begin], logits[:, begin:]
        # Time never runs back, and stands still only between a stretch's end and the next's start.
        earliest = torch.where(is_closed, state.last_time, state.last_time + 1)
        times = times.masked_fill(self.times < earliest[:, None], -torch.inf)

        # If all timestamps together are likelier than any one text, it is a timestamp.
        text_logit, text_token = text.max(-1)
        time_logit, time_token = times.max(-1)
        times_logit = times.logsumexp(-1)
        is_time = times_logit > text_logit
        token = torch.where(is_time, time_token + begin, text_token)
        chosen = torch.where(is_time, time_logit, text_logit)
        texts_logit = text_logit + (text - text_logit[:, None]).exp().sum(-1).log()
        every = torch.where(is_time, times_logit, torch.logaddexp(texts_logit, times_logit))
        if sampling:
            allowed = torch.cat([text.masked_fill(is_time[:, None], -torch.inf), times], 1)
            warm = state.temperature.clamp(min=1e-3)[:, None]
            noise = self.gumbel()[(state.noise_start + state.count) % rules.longest]
            drawn = (allowed / warm + noise).argmax(-1)
            is_warm = state.temperature > 0
            token = torch.where(is_warm, drawn, token)
            chosen = torch.where(is_warm, allowed.gather(1, drawn[:, None])[:, 0], chosen)
        if self.forced_tokens is not None:
            token = token.masked_fill(token == rules.end_of_text, rules.text)
            token = token.masked_fill(state.count + 1 >= self.forced_tokens, rules.end_of_text)

        place = state.count.clamp(max=rules.longest - 1)[:, None]
        before = state.output.gather(1, place)[:, 0]
        state.output.scatter_(1, place, torch.where(is_active, token, before)[:, None])
        following = self.prompt[(state.position + 1).clamp(max=len(rules.prompt) - 1)]
        is_end = (token == rules.end_of_text) | (state.count + 1 >= rules.longest)
        is_timestamp = token >= begin
        changes = (
            (state.sum_logprob, state.sum_logprob + (chosen - every) * is_active),
            (
                state.one_before_is_time,
                torch.where(
                    is_active, state.last_is_time | (state.count == 0), state.one_before_is_time
                ),
            ),
            (state.last_is_time, torch.where(is_active, is_timestamp, state.last_is_time)),
            (
                state.last_time,
                torch.where(is_active & is_timestamp, token - begin, state.last_time),
            ),
            (state.token, torch.where(is_prompt, following, token)),
            (state.position, state.position + (~state.is_done).long()),
            (state.count, state.count + is_active.long()),
            (state.is_done, state.is_done | (is_active & is_end)),
        )
        for tensor, value in changes:
            tensor.copy_(value)

    def ask(self, state: State, logits: Tensor) -> None:
        """Rows at the prompt's place for it are asked whether, and in what language, one speaks."""
        rules = self.rules
        at_sot = state.position == rules.sot_position
        if logits.device.type == "cpu" and not at_sot.any():
            return  # a GPU would have to be waited for to know
        silence = torch.exp(logits[:, rules.no_speech] - logits.logsumexp(-1))
        state.no_speech_prob.copy_(torch.where(at_sot, silence, state.no_speech_prob))
        if rules.language is not None:
            languages = logits[:, rules.languages].logsumexp(-1)
            language = torch.exp(logits[:, rules.language] - languages)
            state.language_prob.copy_(torch.where(at_sot, language, state.language_prob))

    def gumbel(self) -> Tensor:
        """Noise for sampling, [longest, vocabulary]; a window takes a row for each token.

        Drawn once on the processor, so that a text depends neither on the device nor on the
        windows beside it. Source of the trick: the argmax of logits plus Gumbel noise is a sample.
        """
        if self.noise is None:
            generator = torch.Generator().manual_seed(SEED)
            shape = (self.rules.longest, self.network.dims.n_vocab)
            uniform = torch.rand(shape, generator=generator).clamp(1e-10, 1 - 1e-7)
            self.noise = -(-uniform.log()).log()
            self.noise = self.noise.to(self.network.device)
        return self.noise

    def stepper(self, rows: int, sampling: bool) -> Callable[[], None]:
        """`step` for so many rows; on a GPU as a graph, which costs no launch a kernel."""
        key = (rows, sampling)
        if key not in self.steppers:
            if sampling:
                self.gumbel()
            on_gpu = self.network.device.type == "cuda"
            self.steppers[key] = self.graph(*key) if on_gpu else lambda: self.step(*key)
        return self.steppers[key]

    def graph(self, rows: int, sampling: bool) -> Callable[[], None]:
        """The step as a CUDA graph.

        Its warm-up moves the state, which is put back; what it writes into the cache is written
        again or hidden by the mask.
        """
        kept = [tensor.clone() for tensor in self.state.tensors()]
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_STEPS):
                self.step(rows, sampling)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # One step runs at a time, so all graphs can have their passing tensors in the same place.
        self.pool = self.pool or torch.cuda.graph_pool_handle()
        with torch.cuda.graph(graph, pool=self.pool):
            self.step(rows, sampling)
        for tensor, value in zip(self.state.tensors(), kept, strict=True):
            tensor.copy_(value)
        return graph.replay

    def done(self) -> list[bool]:
        """Which slots have nothing to do; waits for the device."""
        flags: list[bool] = self.state.is_done.tolist()
        return flags

    def outcomes(self, slots: Sequence[int]) -> list[Outcome]:
        """What the windows in `slots`, which are done, were decoded to."""
        index = torch.tensor(slots, device=self.network.device)
        state = self.state
        numbers = (state.sum_logprob, state.no_speech_prob, state.language_prob)
        outcomes = []
        for output, count, *measured in zip(
            *(column[index].tolist() for column in (state.output, state.count, *numbers)),
            strict=True,
        ):
            tokens = output[:count]
            if tokens[-1] == self.rules.end_of_text:
                tokens = tokens[:-1]
            outcomes.append(Outcome(tuple(tokens), *measured))
        return outcomes
