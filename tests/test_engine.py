"""pixmo.speech.engine: batches of windows give the tokens that `whisper.decode` gives alone."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
import whisper
from whisper.audio import N_FRAMES, N_SAMPLES, log_mel_spectrogram, pad_or_trim
from whisper.model import ModelDimensions

from pixmo.demo.recogniser import checkpoint
from pixmo.demo.training.evaluate import held_out_sentences
from pixmo.demo.voice import Speaker, speak
from pixmo.errors import ModelError
from pixmo.speech.audio import Samples
from pixmo.speech.engine.decoder import Decoder
from pixmo.speech.engine.log_mel import log_mel
from pixmo.speech.engine.memory import bytes_of_slot, bytes_to_use, slots_that_fit
from pixmo.speech.engine.network import Cache, Network
from pixmo.speech.engine.slots import FEWEST_ROWS, Outcome, Slots
from pixmo.speech.engine.token_rules import TokenRules
from pixmo.speech.recogniser import Recognition, Window
from pixmo.speech.speech_activity import torch_threads
from pixmo.speech.whisper_guards import TEMPERATURES, judged
from pixmo.speech.whisper_model import WhisperRecogniser
from tests.sounds import said, silence
from tests.tiny_whisper import make_tiny_whisper

GREEDY = whisper.DecodingOptions(language="en", temperature=0.0, fp16=False)
VOICES = ("en-us", "en", "en-gb-scotland", "en-gb-x-rp")
TURBO = ModelDimensions(128, 1500, 1280, 20, 32, 51866, 448, 1280, 20, 4)
LARGE = ModelDimensions(128, 1500, 1280, 20, 32, 51866, 448, 1280, 20, 32)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> WhisperRecogniser:
    path = checkpoint(tmp_path_factory.mktemp("shipped"))
    return WhisperRecogniser.load(str(path), "cpu")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> WhisperRecogniser:
    path = make_tiny_whisper(tmp_path_factory.mktemp("tiny") / "tiny.pt")
    return WhisperRecogniser.load(str(path), "cpu")


def recordings(count: int, seed: int = 0) -> list[Samples]:
    """Sentences by several voices at several rates, of one to four sentences, some with noise."""
    rng = np.random.default_rng(seed)
    sentences = iter(held_out_sentences(4 * count))
    sounds = []
    for number in range(count):
        text = " ".join(next(sentences) for _ in range(1 + number % 4))
        speaker = Speaker(VOICES[number % len(VOICES)], int(rng.integers(130, 190)))
        samples = speak(text, speaker).samples[: 30 * 16_000]
        noise = rng.normal(0, 0.01 * (number % 3), len(samples))
        sounds.append((samples + noise).astype(np.float32))
    return [*sounds, silence(3.0), np.random.default_rng(1).normal(0, 0.1, 80_000).astype("f4")]


def windows(recogniser: WhisperRecogniser, sounds: Sequence[Samples]) -> list[Window]:
    return [
        Window((number, 0), len(samples) / 16_000, recogniser.features(samples))
        for number, samples in enumerate(sounds)
    ]


def decoded(
    recogniser: WhisperRecogniser, wanted: Iterable[Window], slots: int
) -> dict[tuple[int, int], Outcome]:
    """What the engine makes of the windows at temperature 0."""
    decoder = recogniser.decoder("en", slots, lambda _: True)
    return {window.key: outcome for window, outcome, _ in decoder.run(wanted)}


@torch.inference_mode()
def one_by_one(recogniser: WhisperRecogniser, window: Window) -> Any:
    """The slow reference."""
    return whisper.decode(recogniser.model, torch.from_numpy(window.features), GREEDY)


def assert_equal_to_whisper(recogniser: WhisperRecogniser, count: int, slots: int) -> None:
    wanted = windows(recogniser, recordings(count))
    outcomes = decoded(recogniser, wanted, slots)
    assert len(outcomes) == len(wanted)
    tokenizer = recogniser.tokenizer("en")
    for window in wanted:
        expected, outcome = one_by_one(recogniser, window), outcomes[window.key]
        assert outcome.tokens == tuple(expected.tokens), window.key
        result = judged(outcome, tokenizer)
        assert result.text == expected.text
        assert result.avg_logprob == pytest.approx(expected.avg_logprob, abs=1e-4)
        assert result.no_speech_prob == pytest.approx(expected.no_speech_prob, abs=1e-4)
        assert result.compression_ratio == pytest.approx(expected.compression_ratio)


def test_tokens_are_those_of_whisper_decode(shipped: WhisperRecogniser) -> None:
    assert_equal_to_whisper(shipped, count=10, slots=8)


@pytest.mark.slow
def test_tokens_are_those_of_whisper_decode_over_hundreds(shipped: WhisperRecogniser) -> None:
    assert_equal_to_whisper(shipped, count=200, slots=16)


def test_a_multilingual_model_decodes_the_same_and_knows_its_language(
    tiny: WhisperRecogniser,
) -> None:
    """Random weights: their texts end only by length, and wander over the whole vocabulary."""
    wanted = windows(tiny, recordings(6))
    outcomes = decoded(tiny, wanted, 4)
    for window in wanted:
        expected = one_by_one(tiny, window)
        assert outcomes[window.key].tokens == tuple(expected.tokens)
        mel = torch.from_numpy(window.features)
        _, languages = tiny.model.detect_language(mel)
        assert outcomes[window.key].language_prob == pytest.approx(languages["en"], rel=1e-3)


def test_what_stands_beside_a_window_changes_nothing(shipped: WhisperRecogniser) -> None:
    """To the last bit: a run that was killed, started again, has other windows side by side."""
    wanted = windows(shipped, recordings(16))  # more than there are slots
    expected = decoded(shipped, wanted, 16)
    for start in (1, 9, 15):
        some = wanted[start:]
        assert decoded(shipped, some, 16) == {w.key: expected[w.key] for w in some}


def test_several_threads_change_no_token(shipped: WhisperRecogniser) -> None:
    wanted = windows(shipped, recordings(4))
    expected = decoded(shipped, wanted, 16)
    with torch_threads(2):
        for key, outcome in decoded(shipped, wanted[1:], 16).items():
            assert outcome.tokens == expected[key].tokens
            assert outcome.sum_logprob == pytest.approx(expected[key].sum_logprob, abs=1e-3)


@pytest.mark.parametrize("slots", [4, 7, 64])
def test_the_number_of_slots_changes_no_token(shipped: WhisperRecogniser, slots: int) -> None:
    wanted = windows(shipped, recordings(9))
    expected = decoded(shipped, wanted, 16)
    for key, outcome in decoded(shipped, wanted, slots).items():
        assert outcome.tokens == expected[key].tokens
        assert outcome.sum_logprob == pytest.approx(expected[key].sum_logprob, abs=1e-3)


def test_log_mel_is_that_of_whisper(shipped: WhisperRecogniser) -> None:
    for samples in (said("There is a red circle."), silence(2.0), said("A sign says stop.")[:401]):
        stock = log_mel_spectrogram(samples, 80, padding=N_SAMPLES)
        expected = pad_or_trim(stock[:, :-N_FRAMES], N_FRAMES).numpy()
        np.testing.assert_allclose(log_mel(samples, 80), expected, atol=1e-6)
    with pytest.raises(ValueError, match="at most 30 s"):
        log_mel(silence(30.1), 80)


def test_the_network_is_whispers(shipped: WhisperRecogniser) -> None:
    """Encoder, and decoder token by token, against openai-whisper's own modules."""
    mel = torch.stack([torch.from_numpy(w.features) for w in windows(shipped, recordings(2))])
    tokens = torch.tensor([[50257, 50358, 318, 257]] * len(mel)) + torch.arange(len(mel))[:, None]
    network = Network(shipped.model, torch.float32)
    with torch.inference_mode():
        features = network.encode(mel)
        torch.testing.assert_close(features, shipped.model.encoder(mel), atol=1e-4, rtol=1e-4)
        cache = network.empty_cache(len(mel), 8)
        network.hear(features, torch.arange(len(mel)), cache)
        steps = [
            network.logits(tokens[:, place], torch.full((len(mel),), place), cache)
            for place in range(tokens.shape[1])
        ]
        expected = shipped.model.decoder(tokens, features)
    torch.testing.assert_close(torch.stack(steps, 1), expected, atol=1e-3, rtol=1e-3)


def test_windows_that_fail_the_guards_are_tried_at_higher_temperatures(
    tiny: WhisperRecogniser,
) -> None:
    wanted = windows(tiny, recordings(5))
    tried: Counter[int] = Counter()

    def accepts(outcome: Outcome) -> bool:
        tried[len(tried)] += 1
        return tried.total() > 9

    decoder = tiny.decoder("en", 4, accepts)
    found = {window.key: (outcome, heat) for window, outcome, heat in decoder.run(wanted)}
    assert len(found) == len(wanted)
    assert decoder.counts["fallbacks"] == 9
    heats = [heat for _, heat in found.values()]
    assert sum(TEMPERATURES.index(heat) for heat in heats) == 9
    # The last temperature is taken as it is.
    never = tiny.decoder("en", 4, lambda _: False)
    assert {heat for *_, heat in never.run(wanted)} == {TEMPERATURES[-1]}


def test_sampling_follows_the_probabilities(tiny: WhisperRecogniser) -> None:
    """Of three likely tokens each is drawn as often as the softmax at that temperature says."""
    rules = TokenRules.of(tiny.model, "en", torch.device("cpu"))
    slots = Slots(tiny.network, rules, rules.longest)
    shares = torch.tensor([0.6, 0.3, 0.1])
    logits = torch.full((rules.longest, 51865), -50.0)
    logits[:, [1000, 2000, 3000]] = 0.5 * shares.log()
    state = slots.state
    state.is_done[:] = False
    state.position[:] = len(rules.prompt)
    state.count[:] = 1
    state.last_time[:] = 0
    state.temperature[:] = 0.5
    state.noise_start.copy_(torch.arange(rules.longest))
    slots.choose(state, logits, sampling=True)
    drawn = Counter(state.token.tolist())
    for token, share in zip((1000, 2000, 3000), shares.tolist(), strict=True):
        expected = share * rules.longest
        assert abs(drawn[token] - expected) < 4 * (expected * (1 - share)) ** 0.5


class Tight(Network):
    """A network on a device with room for few windows."""

    room = 8

    def empty_cache(self, slots: int, tokens: int) -> Cache:
        if slots > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().empty_cache(slots, tokens)


class Leaking(Tight):
    """A network that runs out of memory once, in the middle."""

    room = 1000
    encoded = 0

    def encode(self, mel: torch.Tensor) -> torch.Tensor:
        self.encoded += 1
        if self.encoded == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().encode(mel)


def texts(heard: dict[tuple[int, int], Recognition]) -> dict[tuple[int, int], list[str]]:
    return {key: [segment.text for segment in said.segments] for key, said in heard.items()}


@pytest.mark.parametrize(
    ("kind", "slots", "halved"), [(Tight, 32, [16, 8]), (Leaking, 32, [16]), (Leaking, 7, [4])]
)
def test_out_of_memory_halves_the_batch_and_loses_nothing(
    shipped: WhisperRecogniser, kind: type[Network], slots: int, halved: list[int]
) -> None:
    notes: list[str] = []
    small = WhisperRecogniser.load(shipped.source, "cpu", slots=slots, note=notes.append)
    vars(small)["network"] = kind(shipped.model, torch.float32)
    wanted = windows(shipped, recordings(20))
    found = {window.key: said for window, said in small.recognise(iter(wanted), "en")}
    expected = {window.key: said for window, said in shipped.recognise(wanted, "en")}
    assert texts(found) == texts(expected)
    assert [note.rpartition("with ")[2] for note in notes] == [
        f"{number} windows at once" for number in halved
    ]


def test_out_of_memory_while_words_are_timed_loses_nothing(shipped: WhisperRecogniser) -> None:
    class Short(WhisperRecogniser):
        """Runs out of memory at the third window's word times, once."""

        timed = 0

        def words(self, *arguments: Any) -> Any:
            Short.timed += 1
            if Short.timed == 3:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().words(*arguments)

    short = Short("short", shipped.source, shipped.sha256, "cpu", slots=16, word_times=True)
    wanted = windows(shipped, recordings(2))
    found = {window.key: said for window, said in short.recognise(wanted, "en")}
    assert texts(found) == texts({w.key: s for w, s in shipped.recognise(wanted, "en")})


def test_no_room_at_all_is_an_error(shipped: WhisperRecogniser) -> None:
    small = WhisperRecogniser.load(shipped.source, "cpu", slots=32)
    tight = Tight(shipped.model, torch.float32)
    tight.room = FEWEST_ROWS - 1
    vars(small)["network"] = tight
    with pytest.raises(ModelError, match=r"4 windows do not fit .* use a smaller model"):
        list(small.recognise(windows(shipped, recordings(1)), "en"))


def test_windows_are_asked_for_only_as_they_are_needed(tiny: WhisperRecogniser) -> None:
    wanted = windows(tiny, recordings(4)) * 8
    asked = 0

    def source() -> Iterable[Window]:
        nonlocal asked
        for number, window in enumerate(wanted):
            asked += 1
            yield Window((number, 0), window.seconds, window.features)

    decoder = tiny.decoder("en", 4, lambda _: True)
    run = decoder.run(source())
    next(run)
    assert asked <= 8
    assert sum(1 for _ in run) == len(wanted) - 1


def test_a_window_that_fails_every_guard_is_done_before_many_others(
    tiny: WhisperRecogniser,
) -> None:
    """Recordings are written in order: one that waited for the end would hold all others back."""
    wanted = windows(tiny, recordings(1))[:1] * 40
    asked = [0]

    def source() -> Iterable[Window]:
        for number, window in enumerate(wanted):
            asked[0] = number
            yield Window((number, 0), window.seconds, window.features)

    # Whatever stands in the slots at first fails, four windows of them.
    fails = 4 * (len(TEMPERATURES) - 1)
    judged_so_far = Counter[str]()

    def accepts(_: Outcome) -> bool:
        judged_so_far["all"] += 1
        return judged_so_far["all"] > fails

    decoder = tiny.decoder("en", 4, accepts)
    asked_by = {window.key[0]: asked[0] for window, *_ in decoder.run(source())}
    assert all(asked_by[number] < 16 for number in range(4))


def test_on_a_processor_a_step_has_always_all_rows(shipped: WhisperRecogniser) -> None:
    rules = TokenRules.of(shipped.model, "en", torch.device("cpu"))
    assert Slots(shipped.network, rules, 16).sizes() == [16]


def test_forced_lengths_for_timing_random_weights(tiny: WhisperRecogniser) -> None:
    rules = TokenRules.of(tiny.model, "en", torch.device("cpu"))
    decoder = Decoder(Slots(tiny.network, rules, 4, forced_tokens=30), (0.0,), lambda _: True)
    outcomes = [outcome for _, outcome, _ in decoder.run(windows(tiny, recordings(5)))]
    assert [len(outcome.tokens) for outcome in outcomes] == [29] * 7


def test_memory_of_a_window_in_true_dimensions() -> None:
    """31 and 246 MB of keys and values over the sound, and what comes on top."""
    assert 31e6 < bytes_of_slot(TURBO, 2) < 55e6
    assert 246e6 < bytes_of_slot(LARGE, 2) < 335e6


def test_a_batch_is_never_larger_than_memory(shipped: WhisperRecogniser) -> None:
    dims = shipped.model.dims
    assert slots_that_fit(dims, "cpu", 10**9) * bytes_of_slot(dims, 4) < bytes_to_use("cpu")
    assert slots_that_fit(dims, "cpu") == 16
    assert slots_that_fit(dims, "cpu", 5) == 5
    assert slots_that_fit(dims, "cpu", 1) == FEWEST_ROWS


def test_word_times(shipped: WhisperRecogniser) -> None:
    timed = WhisperRecogniser.load(shipped.source, "cpu", word_times=True)
    parts = [said("There are two red circles."), silence(1.5), said("The background is green.")]
    [(_, heard)] = timed.recognise(windows(timed, [np.concatenate(parts)]), "en")
    words = [word for segment in heard.segments for word in segment.words]
    assert " ".join(word.word for word in words) == " ".join(s.text for s in heard.segments)
    assert all(word.start <= word.end for word in words)
    times = [word.start for word in words]
    assert times == sorted(times)
    second = (len(parts[0]) + len(parts[1])) / 16_000
    by_word = {word.word.strip(".,").lower(): word for word in words}
    assert by_word["circles"].end < second
    assert by_word["background"].start > second - 0.3
    [(_, plain)] = shipped.recognise(windows(shipped, [np.concatenate(parts)]), "en")
    assert [s.text for s in plain.segments] == [s.text for s in heard.segments]
    assert all(not segment.words for segment in plain.segments)
    assert timed.options != shipped.options
