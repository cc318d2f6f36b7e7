/** A binary heap: the item that comes `before` all others is on top. Push and pop cost O(log n). */
export type Heap<Item> = {
  readonly size: () => number;
  push(item: Item): void;
  peek(): Item | undefined;
  pop(): Item | undefined;
  /** Drops every item that is not worth keeping; O(n). */
  keep(isWorthIt: (item: Item) => boolean): void;
};

export function createHeap<Item>(before: (a: Item, b: Item) => boolean): Heap<Item> {
  let items: Item[] = [];

  function rise(start: number): void {
    let at = start;
    const item = items[at] as Item; // `at` is an index of the array throughout, here and in `sink`.
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = items[parent] as Item;
      if (!before(item, above)) break;
      items[at] = above;
      at = parent;
    }
    items[at] = item;
  }

  function sink(start: number): void {
    let at = start;
    const item = items[at] as Item;
    const half = items.length >> 1;
    while (at < half) {
      let child = 2 * at + 1;
      const right = child + 1;
      if (right < items.length && before(items[right] as Item, items[child] as Item)) child = right;
      const below = items[child] as Item;
      if (!before(below, item)) break;
      items[at] = below;
      at = child;
    }
    items[at] = item;
  }

  return {
    size: () => items.length,
    push(item) {
      items.push(item);
      rise(items.length - 1);
    },
    peek: () => items[0],
    pop() {
      const top = items[0];
      const last = items.pop();
      if (last !== undefined && items.length > 0) {
        items[0] = last;
        sink(0);
      }
      return top;
    },
    keep(isWorthIt) {
      items = items.filter(isWorthIt);
      for (let at = (items.length >> 1) - 1; at >= 0; at--) sink(at);
    },
  };
}
