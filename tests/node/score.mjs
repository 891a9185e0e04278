// Scores texts with an exported model.onnx, from JavaScript: nothing of Python, no tokenizer, no vocabulary.
//
//   echo '["poor condition iron component"]' | node tests/node/score.mjs model.onnx
//
// Reads a JSON list of texts from standard input and prints the JSON list of their probabilities of non-compliance.
import { readFileSync } from "node:fs";
import { InferenceSession, Tensor } from "onnxruntime-node";

const MAXIMUM_LENGTH = 10_000; // characters of a text that are read: maximum_length in model.json

// As compliance.scorer reads a text: a NUL would end the string inside the runtime.
function readable(text) {
  const characters = text.length > MAXIMUM_LENGTH ? [...text].slice(0, MAXIMUM_LENGTH).join("") : text;
  return characters.replaceAll("\0", " ");
}

const [model] = process.argv.slice(2);
const texts = JSON.parse(readFileSync(0, "utf8"));
const session = await InferenceSession.create(model, { intraOpNumThreads: 1, interOpNumThreads: 1 });
const probabilities = [];
if (texts.length > 0) {
  const asked = new Tensor("string", texts.map(readable), [texts.length]);
  const { probability } = await session.run({ text: asked });
  probabilities.push(...probability.data);
}
process.stdout.write(JSON.stringify(probabilities));
