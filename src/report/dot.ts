/** Graphviz text: escaping, and graphs from nodes and edges. Language: graphviz.org/doc/info/lang.html. */

export interface DotNode {
  readonly id: string;
  /** Lines of text, each set flush left. */
  readonly lines: readonly string[];
  /** Nodes of one group share a frame with its name. */
  readonly group?: string;
  readonly attributes?: Readonly<Record<string, string>>;
}

export interface DotEdge {
  readonly from: string;
  readonly to: string;
  readonly label?: string;
  readonly attributes?: Readonly<Record<string, string>>;
}

/** A quoted string of the language. */
export function quoted(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;
}

/** A label whose lines are set flush left. */
function leftLabel(lines: readonly string[]): string {
  const escaped = lines.map((line) => quoted(line).slice(1, -1));
  return `"${escaped.map((line) => `${line}\\l`).join('')}"`;
}

function attributeList(attributes: Readonly<Record<string, string>> = {}): string {
  return Object.entries(attributes)
    .map(([key, value]) => `, ${key}=${quoted(value)}`)
    .join('');
}

/** A directed graph, groups in the order of their first nodes. */
export function dotGraph(title: string, nodes: readonly DotNode[], edges: readonly DotEdge[]): string {
  const out = [`digraph ${quoted(title)} {`, '  node [shape=box, fontname="monospace", fontsize=10];'];
  const groups = new Map<string | undefined, DotNode[]>();
  for (const node of nodes) groups.set(node.group, [...(groups.get(node.group) ?? []), node]);
  let number = 0;
  for (const [group, members] of groups) {
    const lines = members.map(
      ({ id, lines, attributes }) => `${quoted(id)} [label=${leftLabel(lines)}${attributeList(attributes)}];`,
    );
    if (group === undefined) out.push(...lines.map((line) => `  ${line}`));
    else {
      out.push(`  subgraph cluster_${number++} {`, `    label=${quoted(group)};`);
      out.push(...lines.map((line) => `    ${line}`), '  }');
    }
  }
  for (const { from, to, label, attributes } of edges) {
    const text = `label=${quoted(label ?? '')}${attributeList(attributes)}`;
    out.push(`  ${quoted(from)} -> ${quoted(to)} [${text}];`);
  }
  return `${[...out, '}'].join('\n')}\n`;
}
