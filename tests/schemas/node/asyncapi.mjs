// Says what is wrong with AsyncAPI documents, a finding a line; then as what each was read.
import { Parser, fromFile } from "@asyncapi/parser";

const parser = new Parser();
for (const file of process.argv.slice(2)) {
  const { document, diagnostics } = await fromFile(parser, file).parse();
  for (const { severity, path, message } of diagnostics) {
    if (severity < 2) console.log(`${path.join(".")}: ${message}`);
  }
  console.log(`${file} ${document ? `AsyncAPI ${document.version()}` : "no document"}`);
}
