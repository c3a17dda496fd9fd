// What matrix-js-sdk (with its crypto, matrix-sdk-crypto-wasm) makes of a key
// export file, and a key backup that matrix-js-sdk made.
//
//   node interop.mjs import FILE PASSPHRASE   what the crypto store holds afterwards
//   node interop.mjs backup KEYS              the body of PUT /room_keys/keys, and what is in it
//   node interop.mjs export KEYS PASSPHRASE   a key export file
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";

// matrix-js-sdk 37.6 and later calls this; it came with Node 22.
Promise.withResolvers ??= function () {
    const held = {};
    held.promise = new this((resolve, reject) => Object.assign(held, { resolve, reject }));
    return held;
};

const { createClient } = await import("matrix-js-sdk");
const { EncryptionSettings, HistoryVisibility, OlmMachine, RoomId } = await import("@matrix-org/matrix-sdk-crypto-wasm");

// The rooms, by what the SDK derives the flag from.
const ROOMS = new Map([
    ["!shared:interop.invalid", HistoryVisibility.Shared],
    ["!joined:interop.invalid", HistoryVisibility.Joined],
    ["!readable:interop.invalid", HistoryVisibility.WorldReadable],
]);

/** A client whose homeserver is `answer(method, path, body)`. */
async function start(answer, deviceId = "WASM") {
    const quiet = () => {};
    const logger = { trace: quiet, debug: quiet, info: quiet, warn: quiet, error: console.error, getChild: () => logger };
    const client = createClient({
        baseUrl: "http://interop.invalid", userId: "@js:interop.invalid", deviceId, logger,
        fetchFn: async (url, { method, body }) => {
            const path = new URL(url).pathname.replace(/^\/_matrix\/client\/(v3|unstable|r0)/, "");
            if (path.startsWith("/keys/")) return Response.json({ one_time_key_counts: {}, device_keys: {} });
            const found = answer(method, path, body && JSON.parse(body));
            return Response.json(found ?? { errcode: "M_NOT_FOUND", error: path }, { status: found ? 200 : 404 });
        },
    });
    await client.initRustCrypto({ useIndexedDB: false });
    return client;
}

const exported = async (client) => JSON.parse(await client.getCrypto().exportRoomKeysAsJson());

/** The flag under the name this SDK writes, or any other; null where there is none. */
const flag = (key) => Object.entries(key).find(([name]) => name.endsWith("shared_history"))?.[1] ?? null;

async function holds(client) {
    return (await exported(client)).map((key) => ({
        room_id: key.room_id,
        session_id: key.session_id,
        first_known_index: Buffer.from(key.session_key, "base64").readUInt32BE(1),
        shared_history: flag(key),
    })).sort((a, b) => (a.session_id < b.session_id ? -1 : 1));
}

/** The exported key of the same session, as known from `index` on. The SDK has no function for that. */
function ratchet(sessionKey, index) {
    const key = Buffer.from(sessionKey, "base64");
    const part = (i) => key.subarray(5 + 32 * i, 37 + 32 * i);
    for (let now = key.readUInt32BE(1); now < index; ) {
        now += 1;
        let from = [24, 16, 8, 0].findIndex((bits) => now % 2 ** bits === 0);
        const old = Buffer.from(part(from));
        for (let i = 3; i >= from; i--) createHmac("sha256", old).update(Buffer.of(i)).digest().copy(part(i));
        key.writeUInt32BE(now, 1);
    }
    return key.toString("base64").replace(/=+$/, "");
}

/** Makes sessions as for sending: one a call for each room, and a new one at the next call. */
async function create(client, count, number = 0) {
    const machine = client.getCrypto().olmMachine; // private in TypeScript
    for (let i = number; i < number + count; i++) {
        const [room, visibility] = [...ROOMS][i % ROOMS.size];
        const settings = new EncryptionSettings();
        settings.historyVisibility = visibility;
        await machine.invalidateGroupSession(new RoomId(room));
        await machine.shareRoomKey(new RoomId(room), [], settings);
    }
}

/** A client with `keys` sessions, a quarter of which it knows from a later message only. */
async function filled(keys, answer) {
    const late = Math.floor(keys / 4);
    const other = await start(() => undefined, "OTHER");
    await create(other, late);
    const theirs = (await exported(other)).map((key, i) => ({ ...key, session_key: ratchet(key.session_key, 250 + 7 * i) }));
    other.stopClient();
    const client = await start(answer);
    await client.getCrypto().importRoomKeysAsJson(JSON.stringify(theirs));
    await create(client, keys - late, late);
    return client;
}

async function backup(keys) {
    const server = { rooms: {} };
    const client = await filled(keys, (method, path, body) => {
        const route = `${method} ${path}`;
        if (route === "POST /room_keys/version") return (server.info = body), { version: "1" };
        if (route === "GET /room_keys/version") return server.info && { ...server.info, version: "1", count: 0, etag: "0" };
        if (route !== "PUT /room_keys/keys") return undefined;
        for (const [room, { sessions }] of Object.entries(body.rooms)) {
            Object.assign((server.rooms[room] ??= { sessions: {} }).sessions, sessions);
        }
        return { count: 0, etag: "0" };
    });
    const event = (name, wanted = () => true) => new Promise((resolve) => {
        client.on(name, (value) => wanted(value) && resolve());
    });
    const done = [event("crypto.keyBackupSessionsRemaining", (left) => left === 0), event("crypto.keyBackupDecryptionKeyCached")];
    Math.random = () => 0; // the SDK waits up to ten seconds, by chance, before it begins
    // Not waited for: it next waits five seconds for a sync to list its user's devices, to send them the key.
    await Promise.race([Promise.all(done), client.getCrypto().resetKeyBackup().then(() => Promise.all(done))]);
    const key = await client.getCrypto().getSessionBackupPrivateKey();
    return {
        auth_data: server.info.auth_data, decryption_key: Buffer.from(key).toString("base64"),
        rooms: server.rooms, expected: await holds(client),
    };
}

async function main(command, first, passphrase) {
    if (command === "import") {
        const client = await start(() => undefined);
        const json = OlmMachine.decryptExportedRoomKeys(readFileSync(first, "utf8"), passphrase);
        let last; // counts from 0
        await client.getCrypto().importRoomKeysAsJson(json, { progressCallback: (state) => (last = state) });
        if (last) console.error(`matrix-js-sdk says: handled ${last.successes + 1} of ${last.total}`);
        console.log(JSON.stringify(await holds(client)));
    } else if (command === "backup") {
        console.log(JSON.stringify(await backup(Number(first))));
    } else if (command === "export") {
        const client = await filled(Number(first), () => undefined);
        console.log(OlmMachine.encryptExportedRoomKeys(await client.getCrypto().exportRoomKeysAsJson(), passphrase, 100_000));
    } else {
        throw new Error("usage: node interop.mjs import FILE PASSPHRASE | backup KEYS | export KEYS PASSPHRASE");
    }
}

// The client has no end of its own.
const code = await main(...process.argv.slice(2)).then(() => 0, (error) => (console.error("interop:", error.message), 1));
process.stdout.write("", () => process.exit(code));
