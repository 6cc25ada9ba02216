// Plays one scenario with @stomp/stompjs, and prints as JSON what there was to see:
//
//     node stompjs.mjs URL SCENARIO GIVEN
//
// GIVEN is what the scenario takes, as JSON. What should be seen is said in test_other_clients.py.

import { randomUUID } from "node:crypto";
import { createRequire } from "node:module";

// It is installed beside the front end, where Node.js would not look for it from here.
const requireFromJs = createRequire(new URL("../../js/package.json", import.meta.url));
const { Client, Versions } = requireFromJs("@stomp/stompjs");

const LIMIT_MS = 10_000;
const LAST = "the last one";

const [url, name, given] = process.argv.slice(2);

/** What comes in: `put` adds one, `take` promises the oldest. */
class Inbox {
  #waiting = [];
  #takers = [];

  put = (thing) => {
    const taker = this.#takers.shift() ?? ((late) => this.#waiting.push(late));
    taker(thing);
  };

  async take() {
    if (this.#waiting.length > 0) return this.#waiting.shift();
    return new Promise((resolve) => this.#takers.push(resolve));
  }

  async takeAll(count) {
    const things = [];
    while (things.length < count) things.push(await this.take());
    return things;
  }
}

/** A client, with inboxes for all that it hears of besides the messages of its subscriptions. */
class Session {
  connects = new Inbox();
  errors = new Inbox();
  beats = new Inbox();
  strays = new Inbox();
  goodbyes = new Inbox();
  closes = new Inbox();

  constructor(options) {
    this.client = new Client({
      brokerURL: url,
      reconnectDelay: 0,
      heartbeatIncoming: 0,
      heartbeatOutgoing: 0,
      onConnect: this.connects.put,
      onStompError: this.errors.put,
      onHeartbeatReceived: this.beats.put,
      onUnhandledMessage: this.strays.put,
      onDisconnect: this.goodbyes.put,
      onWebSocketClose: this.closes.put,
      debug: (line) => console.error(line), // read by nobody, unless the scenario fails
      ...options,
    });
    this.client.activate();
  }

  send(destination, body, headers = {}) {
    this.client.publish({ destination, body, headers });
  }

  subscribe(destination, ack = "auto") {
    const inbox = new Inbox();
    const { unsubscribe } = this.client.subscribe(destination, inbox.put, { ack });
    return { inbox, unsubscribe };
  }

  /** Calls `act` with headers that ask for a receipt, and promises that RECEIPT. */
  confirm(act) {
    const receipt = randomUUID();
    const confirmed = new Promise((resolve) => this.client.watchForReceipt(receipt, resolve));
    act({ receipt });
    return confirmed;
  }

  /** The bodies of all that waits in a queue, which nobody is subscribed to. */
  async drain(queue) {
    const { inbox, unsubscribe } = this.subscribe(queue);
    this.send(queue, LAST);
    const bodies = [];
    for (;;) {
      const { body } = await inbox.take();
      if (body === LAST) break;
      bodies.push(body);
    }
    unsubscribe();
    return bodies;
  }

  /** Sends a message and receives it. */
  async echo(queue, message) {
    const { inbox } = this.subscribe(queue);
    this.client.publish({ destination: queue, ...message });
    return await inbox.take();
  }
}

const sessions = [];

/** A client that is on its way to the broker; it is disconnected after the scenario. */
function connecting(options) {
  const session = new Session(options);
  sessions.push(session);
  return session;
}

async function connect(options) {
  const session = connecting(options);
  session.connected = await session.connects.take();
  return session;
}

/** What can be played: each gets a queue of its own, and what is given. */
const SCENARIOS = {
  async version(queue, { version }) {
    const session = await connect({ stompVersions: new Versions([version]) });
    const { body } = await session.echo(queue, { body: "hello" });
    const { protocol } = session.client.webSocket;
    return { version: session.connected.headers.version ?? null, protocol, body };
  },

  async heartbeats(queue, { interval, beats }) {
    const every = { heartbeatIncoming: interval, heartbeatOutgoing: interval };
    const session = await connect(every);
    await session.beats.takeAll(beats);
    const { body } = await session.echo(queue, { body: "still here" });
    return { offered: session.connected.headers["heart-beat"], body };
  },

  async text(queue, message) {
    const session = await connect();
    const { body, headers } = await session.echo(queue, message);
    return { body, headers };
  },

  async binary(queue, { octets }) {
    const session = await connect();
    const { binaryBody } = await session.echo(queue, { binaryBody: Uint8Array.from(octets) });
    return [...binaryBody];
  },

  async large(queue, { size }) {
    const session = await connect();
    const sent = "0123456789abcdef".repeat(size / 16);
    const { body } = await session.echo(queue, { body: sent });
    return { size: body.length, same: body === sent };
  },

  async acks(queue, { mode }) {
    const session = await connect();
    for (const body of ["1", "2", "3"]) session.send(queue, body);
    const { inbox, unsubscribe } = session.subscribe(queue, mode);
    const [, second] = await inbox.takeAll(3);
    second.ack();
    unsubscribe();
    return await session.drain(queue);
  },

  async nack(queue) {
    const session = await connect();
    session.send(queue, "once more");
    const { inbox, unsubscribe } = session.subscribe(queue, "client-individual");
    const first = await inbox.take();
    first.nack();
    const second = await inbox.take();
    second.ack();
    unsubscribe();
    const left = await session.drain(queue);
    return { body: second.body, redelivered: second.headers.redelivered, left };
  },

  async transaction(queue, { end }) {
    const session = await connect();
    const transaction = session.client.begin();
    session.send(queue, "inside", { transaction: transaction.id });
    session.send(queue, "outside");
    transaction[end]();
    return await session.drain(queue);
  },

  async receipt(queue) {
    const session = await connect();
    const { command } = await session.confirm((headers) => session.send(queue, "", headers));
    return command;
  },

  async unsubscribe(queue) {
    const [session, other] = [await connect(), await connect()];
    const { unsubscribe } = session.subscribe(queue);
    unsubscribe();
    await session.confirm((headers) => session.send(queue, "for the next", headers));
    return await other.drain(queue);
  },

  async error() {
    const session = await connect();
    session.client.ack("unknown", "unknown");
    const { headers } = await session.errors.take();
    await session.closes.take();
    return headers.message;
  },

  async disconnect() {
    const session = await connect();
    await session.client.deactivate();
    const { command } = await session.goodbyes.take();
    const { wasClean } = await session.closes.take();
    return { command, wasClean };
  },

  async request(queue, { replyTo, subscribed }) {
    const [asker, answerer] = [await connect(), await connect()];
    const { inbox: requests } = answerer.subscribe(queue);
    const answers = subscribed ? asker.subscribe(replyTo).inbox : asker.strays;
    asker.send(queue, "question", { "reply-to": replyTo });
    const { headers } = await requests.take();
    answerer.send(headers["reply-to"], "answer");
    const { body, headers: answered } = await answers.take();
    return { replyTo: headers["reply-to"], body, subscription: answered.subscription };
  },

  async login(_, connectHeaders) {
    const session = connecting({ connectHeaders });
    const { command } = await Promise.race([session.connects.take(), session.errors.take()]);
    if (command === "ERROR") await session.closes.take();
    return command;
  },
};

setTimeout(() => {
  console.error(`${name}: not done after ${LIMIT_MS} ms`);
  process.exit(1);
}, LIMIT_MS).unref();

const seen = await SCENARIOS[name](`/queue/${randomUUID()}`, JSON.parse(given));
await Promise.all(sessions.map((session) => session.client.deactivate()));
console.log(JSON.stringify(seen));
