// HTTP/2 by hand (RFC 9113): frames that no library would send, and the word of an end that has
// enough. Owns bytes only; who sends them to whom is the tests'.

import type { TLSSocket } from "node:tls";

export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const FRAME = {
  data: 0,
  headers: 1,
  reset: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  continuation: 9,
} as const;
export const END_STREAM = 1;
export const END_HEADERS = 4;

export function frame(
  type: keyof typeof FRAME,
  flags: number,
  stream: number,
  body: Buffer = Buffer.alloc(0),
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(body.length, 0, 3);
  head[3] = FRAME[type];
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, body]);
}

/** Literals without indexing (RFC 7541, 6.2.2), none longer than 126 bytes. */
export function headerBlock(path: string): Buffer {
  const pairs = [
    [":method", "POST"],
    [":scheme", "https"],
    [":path", path],
    [":authority", "n1"],
    ["content-type", "application/grpc"],
    ["te", "trailers"],
  ];
  const literal = ([name = "", value = ""]: string[]) =>
    Buffer.concat([
      Buffer.from([0, name.length]),
      Buffer.from(name),
      Buffer.from([value.length]),
      Buffer.from(value),
    ]);
  return Buffer.concat(pairs.map(literal));
}

/** Reads until the node says that it hears no more on this connection, or closes it. */
export function refused(socket: TLSSocket): Promise<void> {
  let unread = Buffer.alloc(0);
  return new Promise((resolve) => {
    socket.once("close", () => resolve());
    socket.on("data", (bytes: Buffer) => {
      unread = Buffer.concat([unread, bytes]);
      while (unread.length >= 9) {
        const length = 9 + unread.readUIntBE(0, 3);
        if (unread[3] === FRAME.goaway) resolve();
        if (unread.length < length) return;
        unread = unread.subarray(length);
      }
    });
  });
}
