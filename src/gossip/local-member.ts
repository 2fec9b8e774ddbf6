// Ourselves, as we tell it to others: name, address, tags, and the incarnation that nobody but us
// may raise. Owns the count; when it must be raised is membership.ts.

import type { Address } from "../base/address.ts";
import { assert } from "../base/assert.ts";
import type { FrozenBytes } from "../base/bytes.ts";
import type { NodeId } from "../base/ids.ts";
import { type Announcement, announcementOf } from "./claims.ts";
import { type Alive, type Incarnation, META_BYTES_MAX, OUR_VERSIONS } from "./messages.ts";
import type { GossipOptions, Tags } from "./protocol.ts";
import { encodeTags } from "./tags.ts";

export class LocalMember {
  readonly node: NodeId;
  readonly address: Address;
  #incarnation: Incarnation;
  #tags: Tags;
  #meta: FrozenBytes;

  constructor({ self, address, incarnation, tags }: GossipOptions) {
    this.node = self;
    this.address = address;
    this.#incarnation = incarnation;
    this.#tags = tags;
    this.#meta = encodeTags(tags);
    assert(this.#meta.length <= META_BYTES_MAX, "the first tags fit", this.#meta.length);
  }

  get incarnation(): Incarnation {
    return this.#incarnation;
  }

  get tags(): Tags {
    return this.#tags;
  }

  /** What we say of ourselves. */
  get alive(): Alive {
    return {
      kind: "alive",
      node: this.node,
      incarnation: this.#incarnation,
      address: this.address,
      meta: this.#meta,
      versions: OUR_VERSIONS,
    };
  }

  get announcement(): Announcement {
    return announcementOf(this.alive);
  }

  /** Begins an incarnation above `heard` and above our own. */
  raiseAbove(heard: Incarnation): void {
    this.#incarnation = (Math.max(this.#incarnation, heard) + 1) as Incarnation;
  }

  /** False when the tags do not fit; then nothing has changed. */
  maybeSetTags(tags: Tags): boolean {
    const meta = encodeTags(tags);
    if (meta.length > META_BYTES_MAX) return false;
    this.#tags = new Map(tags);
    this.#meta = meta;
    this.raiseAbove(this.#incarnation);
    return true;
  }
}
