// What was said and is not filed yet. It stands in the browser (IndexedDB) from the second it was
// said until the server has filed it, and is sent on meanwhile, piece by piece.
//
// A recording is a list of parts: the browser's recorder begins a new one after every pause,
// reload or interruption, and the server joins them. A draft: {id, image, recordedAt, seconds:
// [of each part], submitted}. Its pieces: [id, part, number] -> Blob.

const MOST_PIECE_BYTES = 1_000_000;
const WAIT_SECONDS = [1, 2, 4, 8, 15, 30];

function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

// On the disk: a request that succeeded may still be undone when its transaction ends.
function written(request) {
  return new Promise((resolve, reject) => {
    const { transaction } = request;
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
  });
}

export class Store {
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

  load() {
    return done(this.table("drafts", "readonly").get("current"));
  }

  save(draft) {
    return written(this.table("drafts", "readwrite").put(draft, "current"));
  }

  addPiece(draft, part, number, blob) {
    return written(this.table("pieces", "readwrite").put(blob, [draft.id, part, number]));
  }

  async part(draft, part) {
    const range = IDBKeyRange.bound([draft.id, part], [draft.id, part, []]);
    return new Blob(await done(this.table("pieces", "readonly").getAll(range)));
  }

  async forget(draft) {
    await written(this.table("pieces", "readwrite").delete(IDBKeyRange.bound([draft.id], [draft.id, []])));
    await written(this.table("drafts", "readwrite").delete("current"));
  }
}

// An answer of the server that is no success; without one (no connection), fetch throws TypeError.
export class Refusal extends Error {
  constructor(status, body) {
    super(body.error ?? `the server answered ${status}`);
    this.status = status;
    this.body = body;
  }
}

export async function call(method, path, body, headers = {}) {
  const response = await fetch(path, { method, body, headers, cache: "no-store" });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refusal(response.status, answer);
  return answer;
}

export const post = (path, value = {}) => call("POST", path, JSON.stringify(value));

// Whether to try again: no connection, a proxy's or server's own trouble.
const passes = (error) => !(error instanceof Refusal) || error.status >= 500 || error.status === 429;

export class Sender {
  // `tell(offline)` is called when the connection goes and comes.
  constructor(store, tell) {
    this.store = store;
    this.tell = tell;
    this.arrived = [];
    this.sending = null;
    this.failures = 0;
    addEventListener("online", () => this.wake?.());
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
      try {
        const answer = await this.trying(() => call("PATCH", `recordings/${draft.id}/${part}`, piece, headers));
        this.arrived[part] = answer.offset;
      } catch (error) {
        if (error.body?.offset === undefined) throw error;
        // It had arrived, or the server has lost some: go on from what is there.
        const there = await this.trying(() => call("GET", `recordings/${draft.id}`));
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

  // Until it succeeds, or the server says what is wrong.
  async trying(request) {
    for (;;) {
      try {
        const answer = await request();
        this.failures = 0;
        this.tell(false);
        return answer;
      } catch (error) {
        if (!passes(error)) {
          this.tell(false);
          throw error;
        }
        this.tell(true);
        const seconds = WAIT_SECONDS[Math.min(this.failures, WAIT_SECONDS.length - 1)];
        this.failures += 1;
        await new Promise((resolve) => {
          this.wake = resolve;
          setTimeout(resolve, seconds * 1000);
        });
      }
    }
  }
}
