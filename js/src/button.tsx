import type { ComponentProps } from "preact";

/** A button, out of reach of the notebook's keyboard shortcuts. */
export function Button(props: ComponentProps<"button">) {
  return <button type="button" data-lm-suppress-shortcuts="true" {...props} />;
}
