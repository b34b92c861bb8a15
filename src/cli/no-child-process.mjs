/** Stands for `node:child_process` in the bundles: commander wants it for subcommands in files of their own, and it is dear. */
export const spawn = undefined;
export default {};
