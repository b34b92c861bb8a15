export const probeArgs = (): number => 0;
