// Computes every test vector anew with Node's own cryptography, and says what differs.
import { createHash, createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";

const vectors = (name) => JSON.parse(readFileSync(`${process.argv[2]}/${name}.json`));
const bytes = (base64) => Buffer.from(base64, "base64");
const hex = (text) => Buffer.from(text, "hex");
const sha256 = (...parts) => createHash("sha256").update(Buffer.concat(parts.map((part) => Buffer.from(part)))).digest();
const publicKey = (base64) => createPublicKey({ format: "jwk", key: { kty: "OKP", crv: "Ed25519", x: base64 } });
const pae = (type, body) =>
  Buffer.concat([Buffer.from(`DSSEv1 ${Buffer.byteLength(type)} ${type} ${body.length} `), body]);
let checked = 0;
const same = (found, wanted, what) => {
  checked += 1;
  if (Buffer.from(found).compare(Buffer.from(wanted))) console.log(`${what}: ${found} is not ${wanted}`);
};
const holds = (truth, what) => {
  checked += 1;
  if (!truth) console.log(what);
};

function opens(text, type, keys) {
  const envelope = JSON.parse(text), body = bytes(envelope.payload);
  const trusted = envelope.signatures.filter((each) => keys[each.keyid] && bytes(each.sig).toString("base64") === each.sig);
  const good = (each) => verify(null, pae(type, body), publicKey(keys[each.keyid]), bytes(each.sig));
  return envelope.payloadType === type && trusted.length > 0 && trusted.every(good);
}

const dsse = vectors("dsse"), { key } = dsse, alone = { [key.keyid]: key.public };
same(sha256(bytes(key.public)).toString("hex").slice(0, 32), key.keyid, "key id");
for (const each of dsse.cases) {
  const body = bytes(each.payload), [keyid, sig] = each.header.split(" ");
  same(pae(each.payload_type, body), bytes(each.pae), `PAE of ${each.name}`);
  holds(opens(each.envelope, each.payload_type, alone), `envelope of ${each.name} does not open`);
  holds(keyid === key.keyid && verify(null, bytes(each.pae), publicKey(key.public), bytes(sig)), `header of ${each.name}`);
}
for (const each of dsse.refused) {
  holds(!opens(each.envelope, each.expected_type, alone), `${each.why}: opens`);
}

for (const { actor, key: own, command } of vectors("command_identity").cases) {
  same(sha256(actor, [0], own).toString("hex").slice(0, 24), command, `command of ${actor} and ${own}`);
}

const tree = vectors("tree"), leaf = (entry) => sha256([0], entry), node = (left, right) => sha256([1], left, right);
const rootOf = (all, left = 2 ** Math.ceil(Math.log2(all.length) - 1)) =>
  all.length === 0 ? sha256("") : all.length === 1 ? all[0] : node(rootOf(all.slice(0, left)), rootOf(all.slice(left)));
const leaves = tree.entries.map((entry) => leaf(hex(entry)));
leaves.forEach((each, index) => same(each.toString("hex"), tree.leaf_hashes[index], `leaf ${index}`));
tree.roots.forEach((root, size) => same(rootOf(leaves.slice(0, size)).toString("hex"), root, `root of ${size}`));
// RFC 9162, 2.1.3.2
for (const { index, size, proof } of tree.inclusion) {
  let at = index, last = size - 1, found = leaves[index];
  for (const sibling of proof.map(hex)) {
    if (at % 2 || at === last) {
      found = node(sibling, found);
      while (at % 2 === 0 && at) [at, last] = [at >> 1, last >> 1];
    } else found = node(found, sibling);
    [at, last] = [at >> 1, last >> 1];
  }
  same(found.toString("hex"), tree.roots[size], `inclusion of ${index} in ${size}`);
  same([last], [0], `length of the inclusion proof of ${index} in ${size}`);
}
// RFC 9162, 2.1.4.2
for (const { first, second, proof } of tree.consistency.filter((each) => each.first < each.second)) {
  const isPerfect = (first & (first - 1)) === 0, path = proof.map(hex);
  if (isPerfect) path.unshift(hex(tree.roots[first]));
  let at = first - 1, last = second - 1;
  while (at % 2) [at, last] = [at >> 1, last >> 1];
  let [older, newer] = [path[0], path[0]];
  for (const sibling of path.slice(1)) {
    if (at % 2 || at === last) {
      [older, newer] = [node(sibling, older), node(sibling, newer)];
      while (at % 2 === 0 && at) [at, last] = [at >> 1, last >> 1];
    } else newer = node(newer, sibling);
    [at, last] = [at >> 1, last >> 1];
  }
  same(older.toString("hex"), tree.roots[first], `consistency of ${first} and ${second}, older root`);
  same(newer.toString("hex"), tree.roots[second], `consistency of ${first} and ${second}, newer root`);
}

function isNoted(note, name, raw) {
  const end = note.lastIndexOf("\n\n") + 1, hash = sha256(`${name}\n`, [1], bytes(raw)).subarray(0, 4);
  const own = note.slice(end).split("\n").map((line) => line.split(" ")).filter(([dash, by]) => dash === "\u2014" && by === name);
  const blobs = own.map(([, , blob]) => bytes(blob)).filter((blob) => blob.subarray(0, 4).equals(hash));
  return blobs.some((blob) => verify(null, Buffer.from(note.slice(0, end)), publicKey(raw), blob.subarray(4)));
}

const notes = vectors("checkpoint"), [name, hash, raw] = notes.verifier_key.split(/\+(.{8})\+/);
same(sha256(`${name}\n`, bytes(raw)).subarray(0, 4).toString("hex"), hash, "hash of the verifier key");
for (const { size, root, note } of notes.cases) {
  const entries = [...Array(size).keys()].map((index) => leaf(`entry ${index}`));
  same(rootOf(entries).toString("hex"), root, `root of ${size}`);
  same(note.split("\n\n")[0], `${notes.origin}\n${size}\n${hex(root).toString("base64")}`, `text of ${size}`);
  holds(isNoted(note, notes.name, notes.key.public), `checkpoint of ${size} is not signed`);
}
holds(isNoted(notes.cosigned, notes.name, notes.key.public), "the cosigned checkpoint is not signed");
for (const [why, note] of Object.entries(notes.refused)) {
  holds(!isNoted(note, notes.name, notes.key.public), `${why}: is taken for signed`);
}

const audit = vectors("audit"), heads = {};
for (const { writer, stored } of audit.records) {
  const { public: own, keyid } = audit.keys.find((each) => each.name === writer);
  const record = JSON.parse(bytes(JSON.parse(stored).payload)), head = heads[writer] ?? { sequence: 0, previous: "" };
  holds(opens(stored, "application/vnd.plantops.audit.record.v1+json", { [keyid]: own }), `record of ${writer}`);
  holds(record.sequence === head.sequence + 1 && record.previous === head.previous, `chain of ${writer}`);
  heads[writer] = { sequence: record.sequence, previous: sha256(stored).toString("hex") };
}
same(rootOf(audit.records.map((each) => leaf(each.stored))).toString("hex"), audit.root, "root of the audit");
holds(isNoted(audit.checkpoint, notes.name, audit.notary.public), "the audit's checkpoint is not signed");

const ground = vectors("decisions/ground");
same(sha256(bytes(JSON.parse(ground.policy).payload)).toString("hex"), ground.policy_digest, "policy digest");
const layouts = ground.definitions.map(({ source }, index) => [source, sha256(ground.definition_bytes[index]).toString("hex").slice(0, 32)]);
same(sha256(`[${ground.model_bytes},${JSON.stringify(layouts)}]`).toString("hex"), ground.model_digest, "model digest");
console.log(`${checked} checked`);
