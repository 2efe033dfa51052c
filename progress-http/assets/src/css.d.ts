/** The build replaces the import by the text of the style sheet. */
declare module '*.css' {
  const text: string;
  export default text;
}
