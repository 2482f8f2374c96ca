// node intent-and-proof.mjs ask SERVER login.nk signing.key intent.json   asks, and tells each step until the end
// node intent-and-proof.mjs prove EXPORT trust.json COMMAND               shows its records in the signed log
import { createHash, createPrivateKey, createPublicKey, randomBytes, sign, verify } from "node:crypto";
import { readFileSync as read } from "node:fs";
import { connect, nkeyAuthenticator } from "@nats-io/transport-node";
const INTENT = "application/vnd.plantops.intent.v1+json", RECORD = "application/vnd.plantops.audit.record.v1+json";
const sha256 = (...parts) => createHash("sha256").update(Buffer.concat(parts.map((part) => Buffer.from(part)))).digest();
const privateKey = (seed) => // PKCS #8 of an Ed25519 seed (RFC 8410)
  createPrivateKey({ key: Buffer.from(`302e020100300506032b657004220420${seed}`, "hex"), format: "der", type: "pkcs8" });
const publicKey = (base64) => createPublicKey({ format: "jwk", key: { kty: "OKP", crv: "Ed25519", x: base64 } });
const pae = (type, body) => Buffer.concat([Buffer.from(`DSSEv1 ${type.length} ${type} ${body.length} `), body]);
const insist = (holds, what) => { if (!holds) throw new Error(what); };

async function ask(servers, login, signing, file) {
  const own = privateKey(Buffer.from(read(signing, "utf8").split(":")[1], "base64").toString("hex"));
  const time = (ms) => new Date(Date.now() + ms).toISOString(), unique = randomBytes(12).toString("hex");
  const said = { mode: "execute", key: unique, nonce: unique, issued_at: time(0), expires_at: time(600_000) };
  const intent = { ...said, ...JSON.parse(read(file)) }, { site, actor, asset, operation } = intent;
  const command = sha256(actor, "\0", intent.key).toString("hex").slice(0, 24);
  const body = Buffer.from(JSON.stringify(intent)), sig = sign(null, pae(INTENT, body), own).toString("base64");
  const keyid = sha256(createPublicKey(own).export({ format: "der", type: "spki" }).subarray(-32)).toString("hex").slice(0, 32);
  const envelope = JSON.stringify({ payloadType: INTENT, payload: body.toString("base64"), signatures: [{ keyid, sig }] });
  const authenticator = nkeyAuthenticator(Buffer.from(read(login, "utf8").trim()));
  const nc = await connect({ servers, authenticator, inboxPrefix: `_INBOX.${actor}` });
  const steps = nc.subscribe(`cmd.${site}.*.*.${command}`); // before the question, so that no step is missed
  const reply = await nc.request(`intent.${site}.${actor}.${asset}.${operation}`, envelope, { timeout: 5000 });
  insist(reply.json().command === command, `the door says ${reply.string()}`);
  for await (const step of steps) {
    const schema = step.headers.get("ce-dataschema"), { next, result } = step.json(); // to confirm: name the result
    console.log(JSON.stringify({ command, schema, result }));
    if (next === "confirm" || /denied|cancelled|expired|executed|failed|outcome_unknown/.test(schema)) break;
  } await nc.close();
}

function prove(folder, trustFile, command) {
  const trust = JSON.parse(read(trustFile)), name = `plantops/${trust.site}`, note = read(`${folder}/checkpoint`, "utf8");
  const end = note.lastIndexOf("\n\n") + 1, [origin, size, root] = note.split("\n");
  const signatures = note.slice(end).split("\n").filter((line) => line.startsWith(`\u2014 ${name} `))
    .map((line) => Buffer.from(line.split(" ")[2], "base64").subarray(4));
  const isSigned = (raw) => signatures.some((each) => verify(null, Buffer.from(note.slice(0, end)), publicKey(raw), each));
  insist(trust.notaries.some(isSigned) && origin.startsWith(`${name}/`), "no trusted notary signed the checkpoint");
  const place = (n, x = "") => (n > 999 ? place(Math.floor(n / 1000), "x") + "/" : "") + x + String(n % 1000).padStart(3, "0");
  const tile = (area, n) => read(`${folder}/tile/${area}/${place(n)}${(n + 1) * 256 > size ? `.p/${size % 256}` : ""}`);
  const numbers = [...Array(Math.ceil(size / 256)).keys()], hashes = Buffer.concat(numbers.map((n) => tile("0", n)));
  const leaves = [...Array(Number(size)).keys()].map((index) => hashes.subarray(32 * index, 32 * index + 32));
  const tree = (all, left = 2 ** Math.ceil(Math.log2(all.length) - 1)) =>
    all.length === 1 ? all[0] : sha256([1], tree(all.slice(0, left)), tree(all.slice(left)));
  insist(tree(leaves).toString("base64") === root, "the tiles do not give the signed root");
  const cut = (data, end = 2 + (data.length && data.readUInt16BE())) =>
    data.length ? [data.subarray(2, end), ...cut(data.subarray(end))] : [];
  numbers.flatMap((n) => cut(tile("entries", n))).forEach((entry, index) => {
    const { payloadType, payload, signatures: [{ sig }] } = JSON.parse(entry), body = Buffer.from(payload, "base64");
    const record = JSON.parse(body), { writer, kind } = record, bytes = Buffer.from(sig, "base64");
    const fits = (raw) => payloadType === RECORD && verify(null, pae(RECORD, body), publicKey(raw), bytes);
    insist(leaves[index].equals(sha256([0], entry)), `record ${index} is not the one in the tree`);
    insist(trust.writers[writer]?.some(fits), `record ${index} is not signed by ${writer}`);
    if (record.command === command) console.log(JSON.stringify({ index, writer, kind, command }));
  });
}
await { ask, prove }[process.argv[2]](...process.argv.slice(3));
