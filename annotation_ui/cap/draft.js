// What was said and is not filed yet. It stands in the browser (IndexedDB) from the second it was
// said until the server has filed it, and is sent on meanwhile, piece by piece.
//
// A recording is a list of parts: the browser's recorder begins a new one after every pause,
// reload or interruption, and the server joins them. A draft: {id, image, recordedAt, seconds:
// [of each part], submitted}. Its pieces: [id, part, number] -> Blob. Of a draft that was discarded
// the id is kept until the server has deleted it, too.

const MOST_CALL_MILLISECONDS = 60_000; // or a connection that is gone unnoticed is waited for
const MOST_PIECE_BYTES = 250_000; // pass in that time where speech can be sent as it is spoken
const WAIT_SECONDS = [1, 2, 4, 8, 15, 30];

function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

// On the disk: a request that succeeded may still be undone when its transaction ends.
function written(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
  });
}

const piecesOf = (draft, ...part) => IDBKeyRange.bound([draft.id, ...part], [draft.id, ...part, []]);
const DISCARDED = "discarded ";

export class Store {
  unstored = []; // {key, blob}: pieces that the browser could not write, in order

  static async open(name) {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("drafts");
      request.result.createObjectStore("pieces");
    };
    const store = new Store();
    store.database = await done(request);
    navigator.storage?.persist?.(); // or the browser may drop it when the disk is full
    return store;
  }

  table(name, mode) {
    return this.database.transaction(name, mode, { durability: "strict" }).objectStore(name);
  }

  async load() {
    const draft = await done(this.table("drafts", "readonly").get("current"));
    if (!draft) return null;
    const keys = await done(this.table("pieces", "readonly").getAllKeys(piecesOf(draft)));
    lengthen(draft, 1 + Math.max(-1, ...keys.map(([, part]) => part)));
    return draft;
  }

  save(draft) {
    return written(this.table("drafts", "readwrite").put(draft, "current").transaction);
  }

  // On the disk; or in memory until it can be, and throws what the browser says.
  addPiece(draft, part, number, blob) {
    this.unstored.push({ key: [draft.id, part, number], blob });
    return this.flush();
  }

  // What could not be written before is; in order, so that what is on the disk has no gap.
  async flush() {
    while (this.unstored.length) {
      const { key, blob } = this.unstored[0];
      await written(this.table("pieces", "readwrite").put(blob, key).transaction);
      this.unstored = this.unstored.filter((one) => one.key !== key);
    }
  }

  // As far as it was said, whether it could be written or not.
  async part(draft, part) {
    const waiting = this.unstored.filter(({ key }) => key[0] === draft.id && key[1] === part);
    const table = this.table("pieces", "readonly");
    const range = piecesOf(draft, part);
    const [keys, blobs] = await Promise.all([done(table.getAllKeys(range)), done(table.getAll(range))]);
    const numbers = new Set(keys.map(([, , number]) => number));
    return new Blob([...blobs, ...waiting.filter(({ key }) => !numbers.has(key[2])).map(({ blob }) => blob)]);
  }

  async forget(draft) {
    this.unstored = this.unstored.filter(({ key }) => key[0] !== draft.id);
    const transaction = this.database.transaction(["drafts", "pieces"], "readwrite", { durability: "strict" });
    transaction.objectStore("pieces").delete(piecesOf(draft));
    transaction.objectStore("drafts").delete("current");
    await written(transaction);
  }

  async discard(draft) {
    const marked = this.table("drafts", "readwrite").put(draft.id, DISCARDED + draft.id).transaction;
    await written(marked).catch(() => {}); // there is no room even for that
    await this.forget(draft);
  }

  discarded() {
    return done(this.table("drafts", "readonly").getAll(IDBKeyRange.bound(DISCARDED, `${DISCARDED}~`)));
  }

  deleted(id) {
    return written(this.table("drafts", "readwrite").delete(DISCARDED + id).transaction);
  }
}

// A part that is somewhere, and that the draft does not know of, is not begun a second time.
export function lengthen(draft, parts) {
  while (draft.seconds.length < parts) draft.seconds.push(0);
}

// An answer of the server that is no success; without one (no connection), fetch throws TypeError.
export class Refusal extends Error {
  constructor(status, body) {
    super(body.error ?? `the server answered ${status}`);
    this.status = status;
    this.body = body;
  }
}

export async function call(method, path, { body, headers, signal } = {}) {
  const ending = new AbortController();
  const end = () => ending.abort();
  const timer = setTimeout(end, MOST_CALL_MILLISECONDS);
  signal?.addEventListener("abort", end);
  if (signal?.aborted) end();
  try {
    const response = await fetch(path, { method, body, headers, signal: ending.signal, cache: "no-store" });
    if (response.ok) return await response.json();
    throw new Refusal(response.status, await response.json().catch(() => ({})));
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", end);
  }
}

export const post = (path, value = {}) => call("POST", path, { body: JSON.stringify(value) });

// Whether to try again: no connection, a proxy's or server's own trouble.
const passes = (error) => !(error instanceof Refusal) || error.status >= 500 || error.status === 429;

export class Sender {
  // `tell(trouble)` is called with what is in the way, and with null when it is gone.
  constructor(store, tell) {
    this.store = store;
    this.tell = tell;
    this.arrived = [];
    this.sending = null;
    this.failures = 0;
    this.sleeping = new Set();
    this.ending = new AbortController();
    addEventListener("online", () => this.wake());
  }

  wake() {
    for (const goOn of this.sleeping) goOn();
    this.sleeping.clear();
  }

  begin(arrived = []) {
    this.arrived = arrived;
  }

  // Sends what is there, and then what came meanwhile; one at a time.
  send(draft) {
    this.wanted = true;
    this.sending ??= this.loop(draft).finally(() => { this.sending = null; });
    return this.sending;
  }

  // Of a draft that was discarded nothing is on its way any more.
  async stop() {
    this.ending.abort();
    this.wake();
    await this.sending?.catch(() => {});
    this.ending = new AbortController();
    this.begin();
  }

  async deleteDiscarded() {
    for (const id of await this.store.discarded()) {
      await this.trying(() => call("DELETE", `recordings/${id}`));
      await this.store.deleted(id);
    }
  }

  // What has arrived of it; the server learns what image the annotator is at.
  there(draft) {
    const path = `recordings/${draft.id}?image=${draft.image}`;
    return this.trying(() => call("GET", path, { signal: this.ending.signal }), draft);
  }

  async loop(draft) {
    while (this.wanted) {
      this.wanted = false;
      for (let part = 0; part < draft.seconds.length && !draft.discarded; part += 1) {
        await this.sendPart(draft, part);
      }
    }
  }

  async sendPart(draft, part) {
    const whole = await this.store.part(draft, part);
    while (!draft.discarded && (this.arrived[part] ?? 0) < whole.size) {
      const offset = this.arrived[part] ?? 0;
      const piece = whole.slice(offset, offset + MOST_PIECE_BYTES);
      const headers = { "Upload-Offset": String(offset), "Content-Type": "application/octet-stream" };
      const sent = { body: piece, headers, signal: this.ending.signal };
      const path = `recordings/${draft.id}/${part}?image=${draft.image}`;
      try {
        const answer = await this.trying(() => call("PATCH", path, sent), draft);
        if (answer) this.arrived[part] = answer.offset;
      } catch (error) {
        if (error.body?.offset === undefined) throw error;
        // It had arrived, or the server has lost some: go on from what is there.
        const there = await this.there(draft);
        if (!there) return;
        this.arrived = there.parts;
        this.wanted = true;
        return;
      }
    }
  }

  // Everything has arrived and is filed. Throws a Refusal where the server does not want it.
  async submit(draft) {
    for (;;) {
      await this.send(draft);
      const parts = draft.seconds.map((_, part) => this.arrived[part] ?? 0);
      const said = { image: draft.image, recorded_at: draft.recordedAt, parts };
      try {
        return await this.trying(() => post(`recordings/${draft.id}`, said));
      } catch (error) {
        if (error.status !== 409 || error.body.parts === undefined) throw error;
        this.arrived = error.body.parts;
      }
    }
  }

  // Until it succeeds, or the server says what is wrong; or, with nothing, the draft is discarded.
  async trying(request, draft = {}) {
    while (!draft.discarded) {
      try {
        const answer = await request();
        this.failures = 0;
        this.tell(null);
        return answer;
      } catch (error) {
        if (draft.discarded) return null;
        if (!passes(error)) {
          this.tell(null);
          throw error;
        }
        this.tell(error);
        const seconds = WAIT_SECONDS[Math.min(this.failures, WAIT_SECONDS.length - 1)];
        this.failures += 1;
        await new Promise((resolve) => {
          this.sleeping.add(resolve);
          setTimeout(resolve, seconds * 1000);
        });
      }
    }
    return null;
  }
}
