/** Graphviz text to SVG, by Graphviz itself, compiled to WebAssembly: nothing has to be installed. */

/** The drawing as an SVG document. Loads 1.2 MB of code when first asked. Throws what Graphviz says of bad text. */
export async function svgOf(dot: string): Promise<string> {
  const { instance } = await import('@viz-js/viz');
  const viz = await instance();
  return viz.renderString(dot, { format: 'svg' });
}
