// A text that becomes records and a text again has the same bytes.

import fc from "fast-check";
import { expect, test } from "vitest";

import { endsLine, headersOf, type Line, LineSplitter } from "../../src/cli/lines.ts";

function split(chunks: readonly Uint8Array[], bytesMax = 1 << 20): Line[] {
  const splitter = new LineSplitter(bytesMax);
  const lines = chunks.flatMap((chunk) => splitter.push(chunk));
  const last = splitter.finish();
  return last === null ? lines : [...lines, last];
}

/** What `cairn consume` writes for the records of these lines. */
function join(lines: readonly Line[]): Buffer {
  return Buffer.concat(
    lines.map((line) =>
      endsLine(headersOf(line)) ? Buffer.concat([line.bytes, Buffer.from("\n")]) : line.bytes,
    ),
  );
}

test("the splitter gives back any bytes, however they were cut into chunks", () => {
  const byte = fc.oneof(fc.constant(0x0a), fc.integer({ min: 0, max: 255 }));
  const chunk = fc.array(byte, { maxLength: 20 }).map((bytes) => Uint8Array.from(bytes));
  fc.assert(
    fc.property(fc.array(chunk), (chunks) => {
      expect(join(split(chunks))).toEqual(Buffer.concat(chunks));
    }),
  );
});

test("a text's lines are counted as wc counts them, and one more for a last one without newline", () => {
  const count = (text: string) => split([Buffer.from(text)]).length;
  expect(count("")).toBe(0);
  expect(count("\n")).toBe(1);
  expect(count("a\n\nb\n")).toBe(3);
  expect(count("a\n\nb")).toBe(3);
  expect(count("ä\r\n\0\n")).toBe(2);
});

test("only a last line without newline carries a mark", () => {
  const lines = split([Buffer.from("a\nb")]);
  expect(lines.map(headersOf).map((headers) => headers.length)).toEqual([0, 1]);
});

test("two texts one after another read as the one after the other", () => {
  const texts = ["one\ntwo", "three\n", "", "\n", "four"];
  const lines = texts.flatMap((text) => split([Buffer.from(text)]));
  expect(join(lines).toString()).toBe(texts.join(""));
});

test("the splitter refuses a line that is too long before it holds it, and names it", () => {
  const splitter = new LineSplitter(4);
  expect(splitter.push(Buffer.from("1234\n12"))).toHaveLength(1);
  expect(() => splitter.push(Buffer.from("345"))).toThrow("line 2 is longer than 4 bytes");
  expect(() => split([Buffer.from("12345\n")], 4)).toThrow("line 1 is longer than 4 bytes");
  try {
    new LineSplitter(4).push(Buffer.from("a\nb\n12345\n"));
    expect.unreachable();
  } catch (error) {
    expect(error).toMatchObject({ line: 3, before: [{ ended: true }, { ended: true }] });
  }
});
