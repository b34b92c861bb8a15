/** Size of a page on the machines that are modelled: x86-64, and arm64 as Debian builds it. */
export const PAGE_SIZE = 4096;
