// `cairn leave` and `cairn force-leave`: a member goes for good. Owns the order: nobody says
// good-bye before its vote has stopped to count, and nobody's vote is taken away before gossip
// agrees that it is not there. What is said in gossip alone removes nobody: anybody can say it.

import { type ClusterFlags, findTarget, withClient } from "./connect.ts";
import { CommandError } from "./exit.ts";
import { Output } from "./terminal.ts";

export interface LeaveFlags extends ClusterFlags {
  readonly json?: boolean;
}

/** Removes a member, then lets it say good-bye and stop. */
export async function runLeave(name: string, flags: LeaveFlags): Promise<void> {
  const target = findTarget(flags);
  const address = await withClient(target, {}, async (client) => {
    const { members } = await client.status();
    const member = members.find((each) => each.name === name);
    if (member === undefined) {
      const names = members.map((each) => each.name).join(", ");
      throw new CommandError(`no member is named ${name}; there are ${names}`);
    }
    await client.changeMembership({ kind: "remove", name });
    return member.address;
  });
  await withClient({ ...target, addresses: [address] }, {}, (client) => client.leave(name));
  await tell(`${name} has left and stops`, { left: name }, flags);
}

export interface ForceLeaveFlags extends LeaveFlags {
  readonly prune?: boolean;
}

export async function runForceLeave(name: string, flags: ForceLeaveFlags): Promise<void> {
  const prune = flags.prune === true;
  const isRemoved = await withClient(findTarget(flags), {}, async (client) => {
    await client.forceLeave(name, { prune });
    const { members } = await client.status();
    const isMember = members.some((each) => each.name === name);
    if (isMember) await client.changeMembership({ kind: "remove", name });
    return isMember;
  });
  const said = `${name} is declared gone${isRemoved ? " and removed" : ""}`;
  await tell(said, { gone: name, pruned: prune, removed: isRemoved }, flags);
}

async function tell(said: string, facts: object, flags: LeaveFlags): Promise<void> {
  const output = new Output();
  await output.line(flags.json === true ? JSON.stringify(facts) : said);
  await output.flush();
}
