/** The configuration's JSON Schema, for editors and for whoever writes such files by program. */
import { ConfigSchema } from './schema.ts';

const DIALECT = 'https://json-schema.org/draft/2020-12/schema';

/** Text of docs/configuration.schema.json. */
export function jsonSchemaText(): string {
  return `${JSON.stringify({ $schema: DIALECT, title: 'Configuration of tapswitch', ...ConfigSchema }, null, 2)}\n`;
}
