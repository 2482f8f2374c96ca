// Says what is wrong with an AsyncAPI document, a finding a line; then what it was read as.
import { Parser, fromFile } from "@asyncapi/parser";

const { document, diagnostics } = await fromFile(new Parser(), process.argv[2]).parse();
for (const { severity, path, message } of diagnostics) {
  if (severity < 2) console.log(`${path.join(".")}: ${message}`);
}
console.log(document ? `AsyncAPI ${document.version()}` : "no document");
