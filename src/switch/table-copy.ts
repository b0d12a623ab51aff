/** The tables as they are at a moment, to try out frames on: what is learned there, nobody else learns. */
import { copySharedMap } from './shared-map.ts';
import type { TableMemory } from './tables.ts';

/** Copies all tables, 7 MB. The workers go on meanwhile: each entry is as it was at some moment of the copying. */
export function copyTables(memory: TableMemory): TableMemory {
  return {
    networks: memory.networks.slice(0),
    allowed: memory.allowed.slice(0),
    ports: memory.ports.slice(0),
    fdb: copySharedMap(memory.fdb),
    neighbours: copySharedMap(memory.neighbours),
    neighbours6: copySharedMap(memory.neighbours6),
    hostFlows: copySharedMap(memory.hostFlows),
  };
}
