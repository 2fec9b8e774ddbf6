// Old answers come when they are asked for anew, and only then.

import { describe, expect, it } from "vitest";
import { OldAnswers } from "../../sim/old-answers.ts";
import { freeze } from "../../src/base/bytes.ts";
import type { NodeId } from "../../src/base/ids.ts";
import { Prng } from "../../src/base/prng.ts";

const [N1, N2, N3] = ["n1", "n2", "n3"] as [NodeId, NodeId, NodeId];
const VOTE_REQUEST = freeze(Uint8Array.of(1, 2));
const VOTE_REPLY = freeze(Uint8Array.of(1, 3));
const APPEND_REQUEST = freeze(Uint8Array.of(1, 4));

function ask(times: number, before: (answers: OldAnswers, came: string[]) => void): string[] {
  const answers = new OldAnswers(new Prng("old answers"));
  const came: string[] = [];
  before(answers, came);
  for (let asked = 0; asked < times; asked++) answers.passed(N1, N2, VOTE_REQUEST, () => undefined);
  return came;
}

describe("an old answer", () => {
  it("comes again, now and then, when its question is asked anew", () => {
    const came = ask(100, (answers, heard) => {
      answers.passed(N2, N1, VOTE_REPLY, () => void heard.push("vote"));
    });
    expect(came.length).toBeGreaterThan(30);
    expect(came.length).toBeLessThan(90);
  });

  it("does not come to somebody else, nor to another question", () => {
    const came = ask(100, (answers, heard) => {
      answers.passed(N3, N1, VOTE_REPLY, () => void heard.push("of another voter"));
      answers.passed(N2, N3, VOTE_REPLY, () => void heard.push("for another candidate"));
      for (let asked = 0; asked < 100; asked++) {
        answers.passed(N1, N2, APPEND_REQUEST, () => undefined);
      }
    });
    expect(came).toEqual([]);
  });

  it("is forgotten when six newer ones of its kind have passed", () => {
    const came = ask(200, (answers, heard) => {
      for (let nth = 1; nth <= 7; nth++) {
        answers.passed(N2, N1, VOTE_REPLY, () => void heard.push(`vote ${nth}`));
      }
    });
    expect(came).not.toContain("vote 1");
    expect(came).toContain("vote 2");
    expect(came).toContain("vote 7");
  });
});
