/** Submits the form of a field by Enter: notebooks keep a browser from doing so by itself. */
export function submitOnEnter(event: KeyboardEvent): void {
  const field = event.currentTarget as HTMLInputElement;
  if (event.key === "Enter" && !event.isComposing) {
    event.preventDefault();
    field.form?.requestSubmit();
  }
}
