(* JSON (RFC 8259) that a stranger may have written: no deeper than 64, no key twice, all else refused in one line.
   Trusted. A number stays its text; who asks for a whole number or a float gets it, or a refusal. *)
exception Refused of string
let refuse why = raise (Refused why)

type t = Null | Bool of bool | Number of string | Text of string | List of t list | Object of (string * t) list

let deepest = 64

let utf8 buffer code =
  if not (Uchar.is_valid code) then refuse "got half of a character in JSON";
  Buffer.add_utf_8_uchar buffer (Uchar.of_int code)

let parse s =
  let at = ref 0 in
  let peek () = if !at < String.length s then s.[!at] else '\000' in
  let fail () = refuse (Printf.sprintf "is no JSON at byte %d" !at) in
  let rec blank () = match peek () with ' ' | '\t' | '\n' | '\r' -> incr at; blank () | _ -> () in
  let expect c = if peek () = c then incr at else fail () in
  let word text value =
    let n = String.length text in
    if !at + n <= String.length s && String.sub s !at n = text then (at := !at + n; value) else fail () in
  let hex4 () =
    if !at + 4 > String.length s then fail ();
    let digits = String.sub s !at 4 in
    String.iter (function '0' .. '9' | 'a' .. 'f' | 'A' .. 'F' -> () | _ -> fail ()) digits;
    at := !at + 4;
    int_of_string ("0x" ^ digits) in
  let escaped buffer =
    let c = peek () in
    incr at;
    match c with
    | '"' | '\\' | '/' -> Buffer.add_char buffer c
    | 'b' -> Buffer.add_char buffer '\b' | 'f' -> Buffer.add_char buffer '\012' | 'n' -> Buffer.add_char buffer '\n'
    | 'r' -> Buffer.add_char buffer '\r' | 't' -> Buffer.add_char buffer '\t'
    | 'u' ->
        let high = hex4 () in
        if high land 0xfc00 <> 0xd800 then utf8 buffer high
        else begin
          expect '\\'; expect 'u';
          let low = hex4 () in
          if low land 0xfc00 <> 0xdc00 then fail ();
          utf8 buffer (0x10000 + ((high land 0x3ff) lsl 10) + (low land 0x3ff))
        end
    | _ -> fail () in
  let text () =
    expect '"';
    let buffer = Buffer.create 32 in
    let rec go () =
      if !at >= String.length s then fail ();
      match s.[!at] with
      | '"' -> incr at
      | '\\' -> incr at; escaped buffer; go ()
      | '\000' .. '\031' -> fail ()
      | c -> incr at; Buffer.add_char buffer c; go () in
    go ();
    let found = Buffer.contents buffer in
    if String.is_valid_utf_8 found then found else refuse "holds a text that is no UTF-8" in
  let number () =
    let start = !at in
    let rec digits () = match peek () with '0' .. '9' -> incr at; digits () | _ -> () in
    let some () = (match peek () with '0' .. '9' -> () | _ -> fail ()); digits () in
    if peek () = '-' then incr at;
    if peek () = '0' then incr at else some ();
    if peek () = '.' then (incr at; some ());
    (match peek () with 'e' | 'E' -> incr at; (match peek () with '+' | '-' -> incr at | _ -> ()); some () | _ -> ());
    if !at - start > 4000 then refuse "holds a number of more than 4000 characters";
    Number (String.sub s start (!at - start)) in
  let rec value depth =
    if depth > deepest then refuse (Printf.sprintf "has lists and objects more than %d deep" deepest);
    blank ();
    let found = match peek () with
      | '{' -> incr at; Object (fields depth)
      | '[' -> incr at; List (items ']' (fun () -> value (depth + 1)))
      | '"' -> Text (text ())
      | 't' -> word "true" (Bool true) | 'f' -> word "false" (Bool false) | 'n' -> word "null" Null
      | _ -> number () in
    blank ();
    found
  and items : 'a. char -> (unit -> 'a) -> 'a list = fun close item ->
    blank ();
    if peek () = close then (incr at; [])
    else
      let rec go found =
        let found = item () :: found in
        if peek () = ',' then (incr at; go found) else (expect close; List.rev found) in
      go []
  and fields depth =
    let found = items '}' (fun () -> blank (); let key = text () in blank (); expect ':'; (key, value (depth + 1))) in
    let keys = List.sort compare (List.map fst found) in
    let rec twice = function a :: (b :: _ as rest) -> a = b || twice rest | _ -> false in
    if twice keys then refuse "names a key twice in one object";
    found in
  let found = value 0 in
  if !at < String.length s then fail ();
  found

(* ---- what a value must be ---------------------------------------------------------------------------------------------------- *)
let short text = String.escaped (if String.length text > 40 then String.sub text 0 40 else text)
let field name = function
  | Object fields -> (match List.assoc_opt name fields with Some value -> value | None -> refuse ("lacks " ^ name))
  | _ -> refuse ("expected an object with " ^ name)
let optional name = function Object fields -> List.assoc_opt name fields | _ -> None
let text name value = match field name value with Text found -> found | _ -> refuse (name ^ ": expected a text")
let list name = function List found -> found | _ -> refuse (name ^ ": expected a list")
let known name fields = function
  | Object found -> List.iter (fun (key, _) -> if not (List.mem key fields) then refuse (Printf.sprintf "no rule for %s with %s" name (short key))) found
  | _ -> refuse (name ^ ": expected an object")
let most_whole = 1 lsl 40
let whole name = function
  | Number digits when String.length digits <= 14 ->
      (match int_of_string_opt digits with Some n when abs n <= most_whole -> n | _ -> refuse (name ^ ": expected a whole number"))
  | _ -> refuse (name ^ ": expected a whole number")
let number name = function
  | Number digits ->
      let found = float_of_string digits in
      if Float.is_finite found then found else refuse (name ^ ": expected a finite number")
  | _ -> refuse (name ^ ": expected a number")
