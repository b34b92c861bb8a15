/** What an infrared decoder reports to the input layer. Models drivers/media/rc/rc-main.c. */

export type RcEvent =
  | {
      readonly kind: 'keydown';
      readonly protocol: number;
      readonly scancode: bigint;
      readonly toggle: number;
    }
  | { readonly kind: 'repeat' }
  | { readonly kind: 'pointer'; readonly x: number; readonly y: number };
