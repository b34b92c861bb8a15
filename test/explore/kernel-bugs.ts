/** A known bug of the kernel's maps, as small as it gets: an update in an NMI over an update in a task. */
import { MapType } from '../../src/abi/map-types.js';
import type { Scenario } from '../../src/explore/index.js';
import { Kernel } from '../../src/kernel/kernel.js';

export function nmiOnBucket(profile: string): Scenario {
  return {
    name: `NMI on a bucket, ${profile}`,
    build() {
      const kernel = new Kernel({ cpus: 1, profile, interleaved: true });
      const map = kernel.bpf.mapCreate({
        name: 'm',
        type: MapType.hash,
        keySize: 4,
        valueSize: 4,
        maxEntries: 8,
        mapFlags: 0,
        mapExtra: 0n,
      });
      const { address32: data } = kernel.memory.alloc(16, 'none');
      kernel.sched.spawn({ pid: 7, tgid: 7, comm: 'writer', uid: 0, gid: 0 }, function* () {
        yield* map.updateFlow(data, data + 8, 0);
      });
      kernel.nmi(function* () {
        yield* map.updateFlow(data, data + 8, 0);
      });
      return kernel;
    },
  };
}
