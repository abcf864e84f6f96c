"""Planted defects of what was recorded and heard: silence, pace, doubt, levels."""

from dataclasses import replace

from tests.benchmarks.cap_trials import Trial, cut, heard, kinds
from tests.planted_captions import Picture, tell


def coughs(size: int) -> Trial:
    """Recordings of nobody, in which noises pass for 0.6 seconds of speech on average.

    Against recordings of which one in ten holds a sentence alone, 1 to 8 seconds: it is short, and
    it is speech.
    """
    trial = Trial("no_speech", "min_speech_seconds", (0.5, 2.0))
    for is_defect, rng, picture in kinds(size):
        said = heard(rng, picture)
        if is_defect or rng.random() < 0.1:
            speech = rng.expovariate(1 / 0.6) if is_defect else rng.uniform(1, 8)
            text = "Thank you." if is_defect else cut(said, 0).text
            said = replace(said, text=text, values=said.values | {"speech_seconds": speech})
        trial.add(is_defect, said)
    return trial


def stopped_early(size: int) -> Trial:
    """Recordings that ended after 5 to 60 seconds, against people of whom most stop soon after 60.

    A clock that shows 60 leaves up to half a second less when the file is decoded.
    """
    trial = Trial("recording_too_short", "min_seconds", (50.0, 60.0))
    for is_defect, rng, picture in kinds(size):
        seconds = 60 + rng.expovariate(1 / 8) - rng.uniform(0, 0.5)
        seconds = rng.uniform(5, 60) if is_defect else seconds
        trial.add(is_defect, heard(rng, picture, duration_seconds=seconds))
    return trial


def waiting(size: int) -> Trial:
    """Speakers who say little and wait: 5 to 40 percent of the recording is speech.

    Against people of whom one in ten thinks aloud: 50 percent (deviation 8).
    """
    trial = Trial("mostly_silent", "min_spoken_share", (0.3, 0.4))
    for is_defect, rng, picture in kinds(size):
        said = heard(rng, picture)
        if is_defect or rng.random() < 0.1:
            share = rng.uniform(0.05, 0.4) if is_defect else max(0.05, rng.gauss(0.5, 0.08))
            speech = share * said.values["duration_seconds"]
            said = replace(cut(said, share), values=said.values | {"speech_seconds": speech})
        trial.add(is_defect, said)
    return trial


def lost_windows(size: int) -> Trial:
    """Recognisers that skipped parts: 20 to 65 percent of the text is there."""
    trial = Trial("pace", "min_words_per_second", (1.2, 1.8))
    for is_defect, rng, picture in kinds(size):
        said = heard(rng, picture)
        trial.add(is_defect, cut(said, rng.uniform(0.2, 0.65)) if is_defect else said)
    return trial


def invented(size: int) -> Trial:
    """Recognisers that went on inventing: two to four times as much text as was spoken."""
    trial = Trial("pace", "max_words_per_second", (4.5, 6.5))
    for is_defect, rng, picture in kinds(size):
        said = heard(rng, picture)
        if is_defect:
            more = [tell(Picture.of(rng), rng, 170) for _ in range(rng.randint(1, 3))]
            said = replace(said, text=" ".join([said.text, *more]))
        trial.add(is_defect, said)
    return trial


def over_silence(size: int) -> Trial:
    """A twentieth to all of the words over silence, against times that are off.

    A recording has 12 to 20 segments. In one honest one of ten a segment's times are wrong, and
    after each that is, another's in three cases of ten.
    """
    trial = Trial("over_silence", "max_share", (0.15, 0.3))
    for is_defect, rng, picture in kinds(size):
        share = rng.uniform(0.05, 1)
        if not is_defect:
            wrong = int(rng.random() < 0.1)
            while wrong and rng.random() < 0.3:
                wrong += 1
            share = wrong / rng.randint(12, 20)
        trial.add(is_defect, heard(rng, picture, words_over_silence_share=share))
    return trial


def guessed(size: int) -> Trial:
    """Mean log-probabilities of -1.3 (deviation 0.4), against -0.28 (0.08) and accents at -0.5."""
    trial = Trial("guessed", "min_avg_logprob", (-1.2, -0.8))
    for is_defect, rng, picture in kinds(size):
        mean = rng.gauss(-1.3, 0.4) if is_defect else rng.gauss(-0.28, 0.08)
        if not is_defect and rng.random() < 0.2:
            mean = rng.gauss(-0.5, 0.12)
        trial.add(is_defect, heard(rng, picture, avg_logprob=mean))
    return trial


def spoken_languages(size: int) -> Trial:
    """Other languages, of which a recogniser is 0 to 70 percent sure that they are English."""
    trial = Trial("language", "min_probability", (0.3, 0.8))
    for is_defect, rng, picture in kinds(size):
        sure = {"language_prob": rng.uniform(0, 0.7)} if is_defect else {}
        if not is_defect and rng.random() < 0.05:  # an accent
            sure = {"language_prob": rng.uniform(0.4, 1.0)}
        trial.add(is_defect, heard(rng, picture, **sure))
    return trial


def read_aloud(size: int, parameter: str, beside: tuple[float, ...]) -> Trial:
    """Texts read aloud: no pause over 1.3 seconds, no stammer, 78 to 97 percent speech.

    Of three in ten who talk freely the recogniser writes no stammer either, as Whisper does.
    Pauses over a second are typical of free speech and rare in reading: Campione and Véronis 2002,
    A large-scale multilingual study of silent pause duration.
    """
    trial = Trial("reading", parameter, beside)
    for is_defect, rng, picture in kinds(size):
        said = heard(rng, picture)
        if rng.random() < 0.3:
            said = replace(said, text=tell(picture, rng, len(said.text.split()), 0))
        if is_defect:
            speech = rng.uniform(0.78, 0.97) * said.values["duration_seconds"]
            text = tell(picture, rng, round(speech * rng.lognormvariate(1.1, 0.12)), 0)
            sound = {"speech_seconds": speech, "longest_silence_seconds": rng.uniform(0.4, 1.3)}
            said = replace(said, text=text, values=said.values | sound)
        trial.add(is_defect, said)
    return trial


def clipped(size: int) -> Trial:
    """Half a percent to a tenth of the samples clipped, against a third of a percent at most."""
    trial = Trial("poor_sound", "max_clipped_share", (0.002, 0.01))
    for is_defect, rng, picture in kinds(size):
        share = {"clipped_share": rng.uniform(0.005, 0.1)} if is_defect else {}
        trial.add(is_defect, heard(rng, picture, **share))
    return trial


def faint(size: int) -> Trial:
    """Speech at -70 to -45 dB of full scale."""
    trial = Trial("poor_sound", "min_rms_dbfs", (-55.0, -35.0))
    for is_defect, rng, picture in kinds(size):
        level = rng.uniform(-70, -45)
        sound = {"rms_dbfs": level, "noise_dbfs": level - 30} if is_defect else {}
        trial.add(is_defect, heard(rng, picture, **sound))
    return trial


def noisy(size: int) -> Trial:
    """Speech 0 to 12 dB over the noise."""
    trial = Trial("poor_sound", "min_signal_to_noise_db", (5.0, 15.0))
    for is_defect, rng, picture in kinds(size):
        said = heard(rng, picture)
        noise = said.values["rms_dbfs"] - rng.uniform(0, 12)
        sound = said.values | ({"noise_dbfs": noise} if is_defect else {})
        trial.add(is_defect, replace(said, values=sound))
    return trial


def unlike(size: int) -> Trial:
    """Overlaps heard half unlike or more, against a half-normal of deviation 0.15."""
    trial = Trial("heard_unlike", "max_disagreement", (0.3, 0.7))
    for is_defect, rng, picture in kinds(size):
        share = {"overlap_disagreement": rng.uniform(0.5, 1)} if is_defect else {}
        trial.add(is_defect, heard(rng, picture, **share))
    return trial
