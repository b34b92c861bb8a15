/**
 * Red-black trees of a program's objects, ordered by a function of the program. Models lib/rbtree.c and the `bpf_rbtree_*`
 * kernel functions (kernel/bpf/helpers.c) of Linux 6.18. A root holds the top and the leftmost node; a node its parent (with
 * its colour in the lowest bit: 1 is black), right, left, owner. All places are memory offsets.
 */
import type { Machine } from '../../machine.js';
import { Links } from './list.js';

const PARENT = 0;
const RIGHT = 8;
const LEFT = 16;
const OWNER = 24;
export const RB_NODE_BYTES = 32;
const TOP = 0;
const LEFTMOST = 8;
const BLACK = 1;

export class RbTree {
  private readonly links: Links;

  constructor(
    kernel: Machine,
    readonly root: number,
  ) {
    this.links = new Links(kernel);
  }

  get top(): number {
    return this.links.get(this.root + TOP);
  }

  get leftmost(): number {
    return this.links.get(this.root + LEFTMOST);
  }

  left(node: number): number {
    return this.links.get(node + LEFT);
  }

  right(node: number): number {
    return this.links.get(node + RIGHT);
  }

  ownerOf(node: number): number {
    return this.links.get(node + OWNER);
  }

  /** Puts a node in its place; false when it is in a tree already. */
  add(node: number, less: (a: number, b: number) => boolean): boolean {
    if (this.ownerOf(node) !== 0) return false;
    let parent = 0;
    let goesLeft = true;
    let leftmost = true;
    for (let at = this.top; at !== 0; at = goesLeft ? this.left(at) : this.right(at)) {
      parent = at;
      goesLeft = less(node, at);
      if (!goesLeft) leftmost = false;
    }
    this.setParent(node, parent, false);
    this.links.set(node + LEFT, 0);
    this.links.set(node + RIGHT, 0);
    this.links.set(node + OWNER, this.root);
    if (parent === 0) this.links.set(this.root + TOP, node);
    else this.links.set(parent + (goesLeft ? LEFT : RIGHT), node);
    if (leftmost) this.links.set(this.root + LEFTMOST, node);
    this.fixInsert(node);
    return true;
  }

  /** Takes a node out; false when it is not in this tree. */
  remove(node: number): boolean {
    if (this.ownerOf(node) !== this.root) return false;
    if (this.leftmost === node) this.links.set(this.root + LEFTMOST, this.next(node));
    this.erase(node);
    this.links.set(node + PARENT, node);
    this.links.set(node + OWNER, 0);
    return true;
  }

  private parent(node: number): number {
    return this.links.get(node + PARENT) & ~BLACK;
  }

  private isBlack(node: number): boolean {
    return node === 0 || (this.links.get(node + PARENT) & BLACK) !== 0;
  }

  private setParent(node: number, parent: number, black = this.isBlack(node)): void {
    this.links.set(node + PARENT, parent);
    if (black) this.paint(node, true);
  }

  private paint(node: number, black: boolean): void {
    const { i32 } = this.links.kernel.memory;
    i32[(node + PARENT) >> 2] = (i32[(node + PARENT) >> 2]! & ~BLACK) | (black ? BLACK : 0);
  }

  private next(node: number): number {
    let at = this.right(node);
    if (at !== 0) {
      while (this.left(at) !== 0) at = this.left(at);
      return at;
    }
    let child = node;
    at = this.parent(node);
    while (at !== 0 && child === this.right(at)) {
      child = at;
      at = this.parent(at);
    }
    return at;
  }

  /** `other` takes the place of `node` below its parent. */
  private replace(node: number, other: number): void {
    const parent = this.parent(node);
    if (parent === 0) this.links.set(this.root + TOP, other);
    else this.links.set(parent + (this.left(parent) === node ? LEFT : RIGHT), other);
    if (other !== 0) this.setParent(other, parent);
  }

  /** Turns a node down to one side; its child on the other side comes up. */
  private rotate(node: number, side: typeof LEFT | typeof RIGHT): void {
    const other = side === LEFT ? RIGHT : LEFT;
    const up = this.links.get(node + other);
    const inner = this.links.get(up + side);
    this.links.set(node + other, inner);
    if (inner !== 0) this.setParent(inner, node);
    this.replace(node, up);
    this.links.set(up + side, node);
    this.setParent(node, up);
  }

  private fixInsert(inserted: number): void {
    let node = inserted;
    for (let parent = this.parent(node); !this.isBlack(parent); parent = this.parent(node)) {
      const grand = this.parent(parent);
      const side = this.left(grand) === parent ? LEFT : RIGHT;
      const other = side === LEFT ? RIGHT : LEFT;
      const uncle = this.links.get(grand + other);
      if (!this.isBlack(uncle)) {
        this.paint(parent, true);
        this.paint(uncle, true);
        this.paint(grand, false);
        node = grand;
        continue;
      }
      if (this.links.get(parent + other) === node) {
        this.rotate(parent, side);
        parent = node;
      }
      this.paint(parent, true);
      this.paint(grand, false);
      this.rotate(grand, other);
      break;
    }
    this.paint(this.top, true);
  }

  private erase(node: number): void {
    let child: number;
    let parent: number;
    let wasBlack = this.isBlack(node);
    if (this.left(node) === 0 || this.right(node) === 0) {
      child = this.left(node) || this.right(node);
      parent = this.parent(node);
      this.replace(node, child);
    } else {
      let next = this.right(node);
      while (this.left(next) !== 0) next = this.left(next);
      wasBlack = this.isBlack(next);
      child = this.right(next);
      parent = this.parent(next);
      if (parent === node) parent = next;
      else {
        this.replace(next, child);
        this.links.set(next + RIGHT, this.right(node));
        this.setParent(this.right(next), next);
      }
      this.replace(node, next);
      this.links.set(next + LEFT, this.left(node));
      this.setParent(this.left(next), next);
      this.paint(next, this.isBlack(node));
    }
    if (wasBlack) this.fixErase(child, parent);
  }

  private fixErase(from: number, above: number): void {
    let node = from;
    let parent = above;
    while (node !== this.top && this.isBlack(node)) {
      const side = this.left(parent) === node ? LEFT : RIGHT;
      const other = side === LEFT ? RIGHT : LEFT;
      let sibling = this.links.get(parent + other);
      if (!this.isBlack(sibling)) {
        this.paint(sibling, true);
        this.paint(parent, false);
        this.rotate(parent, side);
        sibling = this.links.get(parent + other);
      }
      if (this.isBlack(this.left(sibling)) && this.isBlack(this.right(sibling))) {
        this.paint(sibling, false);
        node = parent;
        parent = this.parent(node);
        continue;
      }
      if (this.isBlack(this.links.get(sibling + other))) {
        this.paint(this.links.get(sibling + side), true);
        this.paint(sibling, false);
        this.rotate(sibling, other);
        sibling = this.links.get(parent + other);
      }
      this.paint(sibling, this.isBlack(parent));
      this.paint(parent, true);
      this.paint(this.links.get(sibling + other), true);
      this.rotate(parent, side);
      node = this.top;
      break;
    }
    if (node !== 0) this.paint(node, true);
  }
}

/** Takes all nodes out, in order. */
export function rbNodes(kernel: Machine, root: number): number[] {
  const tree = new RbTree(kernel, root);
  const nodes: number[] = [];
  for (let node = tree.leftmost; node !== 0; node = tree.leftmost) {
    tree.remove(node);
    nodes.push(node);
  }
  return nodes;
}
