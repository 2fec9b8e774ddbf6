// Where membership is tried: on sockets of loopback with real time, or in the simulator's world
// with virtual time. The same tests run on both.

import { GossipWorld, USUAL_NETWORK } from "../../sim/gossip-world.ts";
import { millis } from "../../src/base/ids.ts";
import { createMembership } from "../../src/membership.ts";
import {
  type Membership,
  type MembershipOptions,
  openMembership,
} from "../../src/service/membership.ts";

export interface MembershipBench {
  /** `startJoinAddrs` as `localAddr` of others. */
  open(options: MembershipOptions): Promise<Membership>;
  /** Ends a member without a word. */
  kill(member: Membership): Promise<void>;
  /** Until it is so; after `withinMs` of the bench's time it throws. */
  until(isSo: () => boolean, withinMs: number): Promise<void>;
  /** Lets a promise that takes the bench's time come about. */
  settle<T>(promise: Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export function onSockets(): MembershipBench {
  const opened: Membership[] = [];
  return {
    open: async (options) => {
      const member = await createMembership({ ...options, bindAddr: "127.0.0.1:0" });
      opened.push(member);
      return member;
    },
    kill: (member) => member.stop(),
    until: async (isSo, withinMs) => {
      const deadline = performance.now() + withinMs;
      while (!isSo()) {
        if (performance.now() > deadline) throw new Error(`not so within ${withinMs} ms`);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
    settle: (promise) => promise,
    close: async () => {
      for (const member of opened) await member.stop();
    },
  };
}

export function inTheSimulator(seed: string): MembershipBench & { readonly world: GossipWorld } {
  const world = new GossipWorld({ seed, network: USUAL_NETWORK, driftPpmMax: 100 });
  /** Virtual time and promises in turn: neither goes on without the other. */
  const step = async (): Promise<void> => {
    if (world.timeline.next === Number.POSITIVE_INFINITY) world.run(millis(1));
    else world.timeline.advance();
    await new Promise((resolve) => setImmediate(resolve));
  };
  const settle = async <T>(promise: Promise<T>): Promise<T> => {
    let isSettled = false;
    const done = () => {
      isSettled = true;
    };
    promise.then(done, done);
    await new Promise((resolve) => setImmediate(resolve));
    while (!isSettled) await step();
    return promise;
  };
  return {
    world,
    open: async (options) => {
      const seat = world.seat(options.nodeName);
      return settle(openMembership(options, seat.ports));
    },
    kill: (member) => settle(member.stop()),
    until: async (isSo, withinMs) => {
      const deadline = world.timeline.now + withinMs * 1000;
      while (!isSo()) {
        if (world.timeline.now > deadline) throw new Error(`not so within ${withinMs} ms`);
        await step();
      }
    },
    settle,
    close: async () => undefined,
  };
}
