/** The package's own version and folder, read from its package.json. */
import { readFileSync } from 'node:fs';

const PACKAGE_JSON = new URL('../../package.json', import.meta.url);

/** Folder that holds package.json, `programs/` and `dist/`. */
export const PACKAGE_ROOT = new URL('.', PACKAGE_JSON);

export function version(): string {
  return (JSON.parse(readFileSync(PACKAGE_JSON, 'utf8')) as { version: string }).version;
}
