// The recorder's page: look at an image, speak, submit. See draft.js for how nothing is lost.

import { Refusal, Sender, Store, call, lengthen, post } from "./draft.js";
import { zoomable } from "./image.js";

const MICROPHONE = { // as it is: what these add cannot be taken away again
  echoCancellation: false, noiseSuppression: false, autoGainControl: false, channelCount: 1,
};
const KINDS = ["audio/webm;codecs=opus", "audio/mp4", "audio/webm", "audio/ogg;codecs=opus"];
const BITS_PER_SECOND = 96_000;
const PIECE_MILLISECONDS = 1000; // what is said is kept this often
const LOOK_MILLISECONDS = 100; // at level and time
const SILENCE = 0.005; // peak, of 1; −46 dB
const SILENT_SECONDS = 5;
const CLIPPED = 0.985;
const CLIPPED_LOOKS = 3; // within
const CLIPPED_SECONDS = 2;
const QUIETEST = -60; // dB on the meter

const $ = (id) => document.getElementById(id);
const view = zoomable($("viewport"), $("image"));

let session;
let store;
let sender;
let draft = null; // of the image shown
let image = null;
let isShown = false; // or nobody describes it
let microphone = null; // {stream, context, analyser, samples}
let recording = null; // {recorder, draft, part, began}: somebody speaks
let phase = "loading"; // ready, speaking, sending, waiting, away
let player = null;
let wakeLock = null;
const looks = { silentSince: 0, clippedAt: [], complaint: "" };

// --- what is shown --------------------------------------------------------------------------

function say(text) { $("status").textContent = text; }

function warn(text) {
  if ($("problem").textContent !== text) $("problem").textContent = text;
}

function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

function seconds() {
  const before = draft ? draft.seconds.reduce((sum, one) => sum + one, 0) : 0;
  if (!recording) return before;
  const counted = draft.seconds[recording.part] ?? 0;
  return before - counted + lasted(recording);
}

function lasted(part) { return ((part.ended ?? performance.now()) - part.began) / 1000; }

function isFull() { return draft !== null && draft.seconds.length >= session.max_parts; }

function show() {
  const spoken = seconds();
  const speaking = phase === "speaking";
  const ready = phase === "ready";
  const enough = spoken >= session.min_seconds;
  $("clock").textContent = clock(spoken);
  $("recorded").style.width = `${Math.min(100, 100 * spoken / session.max_seconds)}%`;
  $("recorded").classList.toggle("enough", enough);
  $("record").textContent = speaking ? "Pause" : spoken > 0 ? "Go on" : "Record";
  $("record").disabled = !(speaking || (ready && isShown && spoken < session.max_seconds && !isFull()));
  $("listen").textContent = player ? "Stop" : "Listen";
  $("listen").disabled = !(ready && spoken > 0);
  $("redo").disabled = !(ready && spoken > 0);
  $("submit").disabled = !((ready || speaking) && enough);
  $("submit").title = enough ? "" : `from ${session.min_seconds} seconds on`;
  $("skip").disabled = !(ready && image);
  $("count").textContent = `${session.recorded} recorded`;
}

function showQuestions() {
  const items = session.questions.map((question, number) => {
    const item = document.createElement("li");
    const label = document.createElement("label");
    const box = document.createElement("input");
    const text = document.createElement("span");
    box.type = "checkbox";
    box.id = `question-${number + 1}`;
    text.textContent = question;
    label.append(box, text);
    item.append(label);
    return item;
  });
  $("question-list").replaceChildren(...items);
}

// --- the microphone -------------------------------------------------------------------------

const MICROPHONE_PROBLEMS = {
  NotAllowedError: "The microphone is blocked. Allow it for this page, in the browser's address bar, and press Record again.",
  NotFoundError: "No microphone was found. Connect one and press Record again.",
  NotReadableError: "The microphone is in use by another program, or broken. Close the other program and press Record again.",
};

async function openMicrophone() {
  if (microphone?.stream.getAudioTracks()[0].readyState === "live") return true;
  if (!navigator.mediaDevices || !window.MediaRecorder) {
    warn(isSecureContext
      ? "This browser cannot record. Use a current Firefox, Chrome, Edge or Safari."
      : "Browsers record on secure pages only. Ask for a link that begins with https.");
    return false;
  }
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: MICROPHONE });
    const context = new AudioContext();
    context.resume().catch(() => {}); // Firefox waits for loudspeakers, without which one can record, too
    const analyser = context.createAnalyser();
    analyser.fftSize = 8192; // longer than from one look to the next
    context.createMediaStreamSource(stream).connect(analyser);
    const track = stream.getAudioTracks()[0];
    track.addEventListener("ended", () => interrupted("The microphone went away. What you said is kept; press Go on."));
    track.addEventListener("mute", () => interrupted("The microphone was muted. What you said is kept; press Go on."));
    microphone = { stream, context, analyser, samples: new Float32Array(analyser.fftSize) };
    return true;
  } catch (error) {
    warn(MICROPHONE_PROBLEMS[error.name] ?? `The microphone cannot be used: ${error.message}`);
    return false;
  }
}

// What is wrong with the sound, until it is no longer.
function complain(text) {
  if (text || looks.complaint === $("problem").textContent) warn(text);
  looks.complaint = text;
}

function look() {
  if (phase === "speaking") {
    show();
    watchTime();
  }
  if (microphone?.context.state === "running") return hear();
  looks.silentSince = performance.now() / 1000; // what cannot be heard yet is no silence
  $("level-bar").style.width = 0;
}

function hear() {
  microphone.analyser.getFloatTimeDomainData(microphone.samples);
  const peak = microphone.samples.reduce((most, one) => Math.max(most, Math.abs(one)), 0);
  const level = Math.max(QUIETEST, 20 * Math.log10(peak || 1e-9));
  $("level-bar").style.width = `${100 * (1 - level / QUIETEST)}%`;
  $("level-bar").classList.toggle("loud", peak >= CLIPPED);
  $("level").setAttribute("aria-valuenow", String(Math.round(level)));
  if (phase !== "speaking") return;
  const now = performance.now() / 1000;
  if (peak >= SILENCE) looks.silentSince = now;
  looks.clippedAt = looks.clippedAt.filter((at) => at > now - CLIPPED_SECONDS);
  if (peak >= CLIPPED) looks.clippedAt.push(now);
  if (now - looks.silentSince >= SILENT_SECONDS) {
    complain("Nothing is heard. Is this the right microphone, and is it switched on?");
  } else if (looks.clippedAt.length >= CLIPPED_LOOKS) {
    complain("Too loud: the sound is clipped. Speak from farther away, or turn the microphone down.");
  } else if (peak >= SILENCE && !looks.clippedAt.length) {
    complain("");
  }
}

function watchTime(early = 0) {
  if (!recording || recording.ended) return;
  const spoken = seconds();
  if (spoken + early >= session.max_seconds) {
    pause().then(() => say(`${session.max_seconds} seconds are reached. Submit it, listen to it, or begin again.`));
  } else if (spoken >= session.min_seconds && !looks.toldEnough) {
    looks.toldEnough = true;
    say(`${session.min_seconds} seconds: you may submit, or go on until ${session.max_seconds}.`);
  }
}

// --- speaking -------------------------------------------------------------------------------

async function speak() {
  stopPlaying();
  phase = "starting";
  show();
  const opened = await openMicrophone();
  phase = "ready";
  if (!opened) return show();
  try {
    await store.flush();
  } catch (error) {
    cannotKeep(error);
    return show();
  }
  draft ??= {
    id: crypto.randomUUID(), image, recordedAt: new Date().toISOString(), seconds: [], submitted: false,
  };
  const mimeType = KINDS.find((kind) => MediaRecorder.isTypeSupported(kind));
  const recorder = new MediaRecorder(microphone.stream, { mimeType, audioBitsPerSecond: BITS_PER_SECOND });
  const mine = { recorder, draft, part: draft.seconds.length, began: 0, pieces: 0, kept: Promise.resolve() };
  mine.stopped = new Promise((resolve) => recorder.addEventListener("stop", resolve, { once: true }));
  recorder.addEventListener("dataavailable", (event) => {
    if (event.data.size) mine.kept = mine.kept.then(() => keep(mine, event.data)).catch(unexpected);
    // A hidden page's timers are late, its pieces are not: the one nearest to the maximum is the last.
    if (recording === mine) watchTime(document.hidden ? PIECE_MILLISECONDS / 2000 : 0);
  });
  recorder.addEventListener("error", () => interrupted("The browser stopped recording. What you said is kept; press Go on."));
  await new Promise((resolve) => {
    recorder.addEventListener("start", resolve, { once: true });
    recorder.start(PIECE_MILLISECONDS);
  });
  mine.began = performance.now();
  looks.silentSince = mine.began / 1000;
  looks.clippedAt = [];
  looks.toldEnough = seconds() >= session.min_seconds;
  recording = mine;
  phase = "speaking";
  navigator.wakeLock?.request("screen").then((lock) => { wakeLock = lock; }, () => {});
  warn("");
  looks.complaint = "";
  say("Recording.");
  show();
}

// A piece stands in the browser's store, and is on its way.
async function keep(mine, blob) {
  const stored = store.addPiece(mine.draft, mine.part, mine.pieces, blob);
  mine.draft.seconds[mine.part] = lasted(mine); // a part without a piece is none
  mine.pieces += 1;
  try {
    await stored;
    await store.save(mine.draft);
  } catch (error) {
    cannotKeep(error);
  }
  sender.send(mine.draft).catch(unexpected);
}

// What was said last is in memory, and is sent from there.
function cannotKeep(error) {
  pause().finally(() => warn(
    `This browser cannot keep what you say (${error.name}): its disk may be full, or the window private. `
    + "What you said last is in this page only: leave it open. Make room and press Go on, or submit what there is.",
  ));
}

// Whoever asks, and while it is being done, too: all that was said is kept when it is done.
async function pause() {
  await (recording && (recording.paused ??= stop(recording)));
}

async function stop(mine) {
  mine.ended = performance.now();
  if (mine.recorder.state !== "inactive") mine.recorder.stop();
  await mine.stopped; // the last piece came before
  await mine.kept;
  recording = null;
  phase = "ready";
  wakeLock?.release();
  complain("");
  say(seconds() >= session.min_seconds ? "Paused. You may submit."
    : isFull() ? `Paused ${session.max_parts} times, the most that there can be. Begin again.` : "Paused.");
  show();
}

async function interrupted(text) {
  if (!recording) return;
  await pause();
  warn(text);
}

async function listen() {
  if (player) return stopPlaying();
  player = new Audio();
  const mine = player;
  show();
  for (let part = 0; part < draft.seconds.length && player === mine; part += 1) {
    const sound = await store.part(draft, part);
    mine.src = URL.createObjectURL(sound.slice(0, sound.size, KINDS.find((kind) => MediaRecorder.isTypeSupported(kind))));
    const ended = new Promise((resolve) => { mine.onended = mine.onerror = mine.onpause = resolve; });
    await mine.play().catch(() => {});
    await ended;
    URL.revokeObjectURL(mine.src);
  }
  if (player === mine) stopPlaying();
}

function stopPlaying() {
  player?.pause();
  player = null;
  if (session) show();
}

async function answered(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  return dialog.returnValue;
}

// Nothing of it is left in this browser, and soon nothing on the server.
async function discard() {
  const old = draft;
  draft = null;
  old.discarded = true;
  await store.discard(old);
  await sender.stop();
  sender.deleteDiscarded().catch(unexpected);
}

async function redo() {
  stopPlaying();
  if (await answered($("redoing")) !== "redo") return;
  await discard();
  warn("");
  say("Deleted. Press Record to begin again.");
  show();
}

async function submit() {
  stopPlaying();
  await pause();
  draft.submitted = true;
  // Where it cannot be written, it is sent from memory.
  await store.flush().then(() => store.save(draft)).catch(() => {});
  await send();
}

async function send() {
  phase = "sending";
  say("Sending …");
  show();
  try {
    await sender.submit(draft);
    session.recorded += 1;
    await store.forget(draft);
    draft = null;
    warn("");
    say("Thank you. Here is the next one.");
  } catch (error) {
    if (!(error instanceof Refusal) || error.status === 403) throw error;
    if (error.body.kept === "set aside") {
      await store.forget(draft);
      draft = null;
      warn(`This recording cannot be used: ${error.message}. The server has kept it aside.`);
      say("");
    } else {
      draft.submitted = false;
      const isTooShort = error.body.kept === "draft";
      // The page's clock runs on where the sound does not: through a closed lid, say.
      if (isTooShort) draft.seconds = draft.seconds.map((_, part) => (part ? 0 : error.body.seconds));
      await store.save(draft).catch(() => {});
      phase = "ready";
      warn(`${error.message}. What you said is kept${isTooShort ? "; go on speaking" : " in this browser"}.`);
      say("");
      return show();
    }
  }
  await next();
}

async function skip() {
  stopPlaying();
  const box = $("reasons");
  box.replaceChildren(...session.skip_reasons.map((reason) => {
    const label = document.createElement("label");
    const radio = document.createElement("input");
    radio.type = "radio";
    radio.name = "reason";
    radio.value = reason;
    radio.required = true;
    label.append(radio, ` ${reason}`);
    return label;
  }));
  if (await answered($("skipping")) !== "skip") return;
  const reason = box.querySelector(":checked").value;
  phase = "waiting";
  show();
  await sender.trying(() => post("skip", { image, reason }));
  if (draft) await discard();
  warn("");
  say("Skipped.");
  await next();
}

async function next() {
  phase = "waiting";
  sender.begin();
  show();
  const given = await sender.trying(() => post("next"));
  await showImage(given.image);
}

async function showImage(sha256) {
  image = sha256;
  isShown = false;
  phase = "ready";
  view.whole();
  for (const box of document.querySelectorAll("#question-list input")) box.checked = false;
  $("image").hidden = !sha256;
  if (sha256) {
    $("image").src = `images/${sha256}`;
    isShown = await $("image").decode().then(() => true, () => false);
    if (!isShown) warn("The image does not load, so nothing can be said about it. Load the page again, or skip it.");
  } else {
    say("There is no image left for you. Thank you!");
  }
  show();
}

// --- the page -------------------------------------------------------------------------------

const ACTIONS = {
  record: () => (phase === "speaking" ? pause() : speak()),
  listen: () => { listen().catch(unexpected); }, // others may be pressed meanwhile
  redo, submit, skip,
};
const KEYS = { " ": "record", l: "listen", r: "redo", Enter: "submit", s: "skip" };

let acting = false;

// One thing after another, however fast the keys.
async function act(name) {
  if (acting || $(name).disabled) return;
  acting = true;
  try {
    await ACTIONS[name]();
  } catch (error) {
    unexpected(error);
  } finally {
    acting = false;
  }
}

function unexpected(error) {
  if (error instanceof Refusal && error.status === 403) {
    pause().finally(() => {
      phase = "away";
      show();
      warn(`${error.message}. What you said is kept in this browser; with a link that is valid you go on from there.`);
    });
    return;
  }
  if (error instanceof Refusal) return warn(`${error.message}. What you said is kept in this browser.`);
  console.error(error);
  warn(`Something went wrong: ${error.message}. Load the page again; what you said is kept.`);
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.querySelector("dialog[open]")) return;
  const onImage = event.target === $("viewport");
  if (view.keys[event.key] && (onImage || ($("shortcuts").checked && view.takes(event.key)))) {
    event.preventDefault();
    return view.keys[event.key]();
  }
  if (!$("shortcuts").checked || event.repeat) return;
  const onControl = event.target.closest("button, input, [contenteditable]");
  if (onControl && (event.key === " " || event.key === "Enter")) return; // they press that control
  const name = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (name) {
    event.preventDefault();
    act(name);
  } else if (/^[1-9]$/.test(event.key)) {
    $(`question-${event.key}`)?.click();
  }
}

async function askConsent() {
  $("consent-text").textContent = session.consent.text;
  $("consent").addEventListener("cancel", (event) => event.preventDefault());
  $("consent").showModal();
  const agreed = await new Promise((resolve) => {
    $("agree").onclick = () => resolve(true);
    $("disagree").onclick = () => resolve(false);
  });
  await sender.trying(() => post("consent", { text_sha256: session.consent.text_sha256, agreed }));
  $("consent").close();
  if (!agreed) say("Nothing is recorded. Load the page again if you change your mind.");
  return agreed;
}

async function load() {
  let told = "";
  sender = new Sender(null, (trouble) => {
    if (trouble) {
      told = trouble instanceof Refusal
        ? `Nothing can be sent: ${trouble.message}. What you say is kept in this browser, and is sent when that is over.`
        : "No connection. What you say is kept in this browser, and is sent when the connection is back.";
      warn(told);
    } else if ($("problem").textContent === told) {
      warn("");
    }
  });
  session = await sender.trying(() => call("GET", "session"));
  $("annotator").textContent = session.annotator;
  $("least").style.left = `${100 * session.min_seconds / session.max_seconds}%`;
  $("most").textContent = `${clock(session.min_seconds)} – ${clock(session.max_seconds)}`;
  showQuestions();
  show();
}

async function begin() {
  if (!session.consent.is_given && !await askConsent()) return;
  store = await Store.open(ownName());
  sender.store = store;
  sender.deleteDiscarded().catch(unexpected);
  draft = await store.load();
  if (!draft) return next();
  const there = await sender.there(draft);
  if (there.filed) { // the answer that said so did not arrive
    await store.forget(draft);
    draft = null;
    say("Your last recording is filed. Here is the next one.");
    return next();
  }
  sender.begin(there.parts);
  lengthen(draft, there.parts.length);
  await showImage(draft.image);
  if (draft.submitted) return send();
  say("What you said before is kept. Go on, listen to it, or begin again.");
  sender.send(draft).catch(unexpected);
}

// What is kept is this person's, for this workspace: others may be at the same address.
function ownName() { return `pixmo-record ${session.workspace} ${session.annotator}`; }

// Two tabs would speak over each other: one at a time has the recorder, the next waits for it.
async function beginAlone() {
  await load();
  const name = ownName();
  const taken = (await navigator.locks.query()).held.some((lock) => lock.name === name);
  if (taken) warn("The recorder is open in another tab. Go on there, or close it to go on here.");
  await navigator.locks.request(name, async () => {
    warn("");
    await begin().catch(unexpected);
    await new Promise(() => {}); // until the tab closes
  });
}

for (const name of Object.keys(ACTIONS)) $(name).addEventListener("click", () => act(name));
$("zoom-in").addEventListener("click", () => view.zoom(view.step));
$("zoom-out").addEventListener("click", () => view.zoom(1 / view.step));
$("zoom-whole").addEventListener("click", view.whole);
addEventListener("keydown", pressed);
addEventListener("beforeunload", (event) => {
  if (phase === "speaking" || phase === "sending" || store?.unstored.length) event.preventDefault();
});
setInterval(look, LOOK_MILLISECONDS);
if (navigator.locks) {
  beginAlone().catch(unexpected);
} else {
  warn("Browsers record on secure pages only. Ask for a link that begins with https.");
}
