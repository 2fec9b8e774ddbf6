// Mail by class: bounds, refusals, order, and no class that starves another.

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import type { LinkId } from "../../src/base/ids.ts";
import { MAIL_CLASSES, Mailbox, type MailClass } from "../../src/node/mailbox.ts";
import type { NodeEvent } from "../../src/node/protocol.ts";

const numbered = (link: number): NodeEvent => {
  return { kind: "link-closed", link: link as LinkId, why: "" };
};
const numberOf = (event: NodeEvent) => (event.kind === "link-closed" ? event.link : -1);

describe("a mailbox", () => {
  test("refuses what is over a class's bound, and only that class", () => {
    const mailbox = new Mailbox(2);
    expect(mailbox.offer("client-write", numbered(1))).toBe(true);
    expect(mailbox.offer("client-write", numbered(2))).toBe(true);
    expect(mailbox.offer("client-write", numbered(3))).toBe(false);
    expect(mailbox.offer("client-read", numbered(4))).toBe(true);
    expect(mailbox.size).toBe(3);
  });

  test("never refuses the disk", () => {
    const mailbox = new Mailbox(1);
    for (let at = 0; at < 100; at++) expect(mailbox.offer("disk", numbered(at))).toBe(true);
  });

  test("hands out the disk before peers, and peers before clients", () => {
    const mailbox = new Mailbox(9);
    for (const [at, mailClass] of [...MAIL_CLASSES].reverse().entries()) {
      mailbox.offer(mailClass, numbered(at));
    }
    expect(mailbox.take(100).map(numberOf)).toEqual([6, 5, 4, 3, 2, 1, 0]);
  });

  test("says that a link is closed only after what still came on it", () => {
    const mailbox = new Mailbox(100);
    for (let at = 0; at < 50; at++) mailbox.offer("peer-bulk", numbered(at));
    mailbox.offer("peer-gone", numbered(9999));
    mailbox.offer("client-read", numbered(7));
    expect(mailbox.take(20).map(numberOf)).toContain(7);
    expect(mailbox.take(20).map(numberOf)).not.toContain(9999);
    expect(mailbox.take(20).map(numberOf).at(-1)).toBe(9999);
  });

  test("gives every class a share of each turn, however full the others are", () => {
    const mailbox = new Mailbox(1000);
    for (let at = 0; at < 500; at++) mailbox.offer("disk", numbered(at));
    mailbox.offer("client-read", numbered(9999));
    expect(mailbox.take(60).map(numberOf)).toContain(9999);
  });

  test("loses nothing and keeps each class in order", () => {
    const mail = fc.array(fc.constantFrom<MailClass>(...MAIL_CLASSES), { maxLength: 80 });
    fc.assert(
      fc.property(mail, fc.integer({ min: 1, max: 20 }), (classes, turn) => {
        const mailbox = new Mailbox(1000);
        const sent = new Map<MailClass, number[]>();
        for (const [at, mailClass] of classes.entries()) {
          mailbox.offer(mailClass, numbered(at));
          sent.set(mailClass, [...(sent.get(mailClass) ?? []), at]);
        }
        const taken: number[] = [];
        while (mailbox.size > 0) taken.push(...mailbox.take(turn).map(numberOf));
        expect(taken.slice().sort((a, b) => a - b)).toEqual(classes.map((_, at) => at));
        for (const numbers of sent.values()) {
          expect(taken.filter((number) => numbers.includes(number))).toEqual(numbers);
        }
      }),
    );
  });
});
