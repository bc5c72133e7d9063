import assert from "node:assert/strict";
import { test } from "node:test";
import { SseParser } from "../dist/esm/index.js";

const parse = (...chunks) => {
  const parser = new SseParser();
  return chunks.flatMap((chunk) => parser.push(typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk));
};
const message = (data, more = {}) => ({ event: "message", data, ...more });

const STREAM = "\ufeff: hello\r\nid: 1\r\nevent: a\r\ndata: día\r\ndata:  日本 👩‍👩‍👧\r\n\r\ndata\n\nretry: 5\rdata:x\r\revent: lost\n\ndata: {\"a\":\n" + "data: 1}\n\n";
const EVENTS = [
  { event: "a", data: "día\n 日本 👩‍👩‍👧", id: "1" },
  message("", { id: "1" }), message("x", { id: "1" }), message('{"a":\n1}', { id: "1" }),
];
test("a stream in one piece", () => assert.deepEqual(parse(STREAM), EVENTS));
test("a stream cut at every place", () => {
  const bytes = new TextEncoder().encode(STREAM);
  for (let at = 0; at <= bytes.length; at += 1) assert.deepEqual(parse(bytes.slice(0, at), bytes.slice(at)), EVENTS, `cut at ${at}`);
});
for (const size of [1, 2, 3, 7]) {
  test(`a stream in pieces of ${size}, with empty ones between`, () => {
    const bytes = new TextEncoder().encode(STREAM);
    const pieces = [];
    for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.slice(at, at + size), new Uint8Array());
    assert.deepEqual(parse(...pieces), EVENTS);
  });
}
test("an event without its blank line is none", () => assert.deepEqual(parse("data: a\n"), []));
test("an event without data is none", () => assert.deepEqual(parse("event: a\nid: 1\n\n"), []));
test("unknown fields and comments are passed over", () => assert.deepEqual(parse(":x\nfoo: 1\ndata: a\n\n"), [message("a")]));
test("an id with a NUL is passed over", () => assert.deepEqual(parse("id: a\0\ndata: a\n\n"), [message("a")]));
test("bytes that are no UTF-8 become U+FFFD", () => assert.deepEqual(parse(Uint8Array.of(100, 97, 116, 97, 58, 255, 10, 10)), [message("\ufffd")]));
test("an event that never ends is cut off", () => {
  const parser = new SseParser();
  const piece = new Uint8Array(8 << 20).fill(120);
  assert.throws(() => { for (let n = 0; n < 10; n += 1) parser.push(piece) }, RangeError);
});
