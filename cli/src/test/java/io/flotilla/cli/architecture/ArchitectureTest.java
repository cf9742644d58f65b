package io.flotilla.cli.architecture;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.fields;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.domain.JavaField;
import com.tngtech.archunit.core.domain.JavaModifier;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.lang.ArchCondition;
import com.tngtech.archunit.lang.ConditionEvents;
import com.tngtech.archunit.lang.SimpleConditionEvent;
import com.tngtech.archunit.lang.syntax.ArchRuleDefinition;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.locks.Lock;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;

/** Holds the classes of all modules to the arrows and names of {@code docs/structure.md}. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class ArchitectureTest {
  private static final String ROOT = "io.flotilla.";

  /** What each module depends on directly; everything behind that is allowed too. */
  private static final Map<String, List<String>> ARROWS =
      Map.ofEntries(
          Map.entry("tokenizer", List.of()),
          Map.entry("checkpoint", List.of()),
          Map.entry("kernels", List.of()),
          Map.entry("model", List.of("kernels", "checkpoint")),
          Map.entry("executor", List.of("model")),
          Map.entry("engine", List.of("executor")),
          Map.entry("fleet", List.of("engine")),
          Map.entry("generation", List.of("fleet", "tokenizer", "checkpoint")),
          Map.entry("server", List.of("generation")),
          Map.entry("bench", List.of("generation")),
          Map.entry("cli", List.of("server", "bench")));

  private static final Set<String> MUTABLE_PACKAGES =
      Set.of("java.util.concurrent.atomic", "java.util.concurrent.locks");

  private JavaClasses classes = new ClassFileImporter().importClasses();

  @BeforeAll
  void importClasses() {
    Path root = Path.of(System.getProperty("flotilla.root"));
    // What is found as a service has its own folder, but the arrows of what it serves.
    List<Path> folders =
        Stream.concat(ARROWS.keySet().stream(), Stream.of("kernels-cuda"))
            .map(module -> root.resolve(module + "/target/classes"))
            .toList();
    assertThat(folders).allMatch(Files::isDirectory);
    classes = new ClassFileImporter().importPaths(folders);
  }

  @Test
  void everyModuleWasImported() {
    for (String module : ARROWS.keySet()) {
      assertThat(classes.stream().filter(type -> moduleOf(type).equals(module)).count())
          .as(module)
          .isPositive();
    }
  }

  @Test
  void dependenciesFollowTheArrowsAlone() {
    ArchRuleDefinition.classes().should(followTheArrows()).check(classes);
  }

  @Test
  void nothingNamesTheCudaDevice() {
    String cuda = ROOT + "kernels.cuda..";
    noClasses()
        .that()
        .resideOutsideOfPackage(cuda)
        .should()
        .dependOnClassesThat()
        .resideInAPackage(cuda)
        .check(classes);
  }

  @Test
  void packagesHaveNoCycles() {
    slices().matching("io.flotilla.(**)").should().beFreeOfCycles().check(classes);
  }

  @Test
  void noStateIsStatic() {
    fields()
        .that()
        .areStatic()
        .and(areWritten())
        .should()
        .beFinal()
        .andShould(notHoldState())
        .check(classes);
  }

  @Test
  void packagesAreNamedForAConcern() {
    noClasses()
        .should()
        .resideInAnyPackage(
            "..util..", "..utils..", "..common..", "..impl..", "..manager..", "..helper..")
        .check(classes);
  }

  private static String moduleOf(JavaClass type) {
    String name = type.getPackageName();
    return name.startsWith(ROOT) ? name.substring(ROOT.length()).replaceFirst("\\..*", "") : "";
  }

  private static Set<String> reachable(String module) {
    Set<String> reached = new HashSet<>(Set.of(module));
    for (String next : ARROWS.getOrDefault(module, List.of())) {
      reached.addAll(reachable(next));
    }
    return reached;
  }

  private static ArchCondition<JavaClass> followTheArrows() {
    return new ArchCondition<>("follow the arrows of docs/structure.md") {
      @Override
      public void check(JavaClass type, ConditionEvents events) {
        Set<String> allowed = reachable(moduleOf(type));
        type.getDirectDependenciesFromSelf().stream()
            .filter(dependency -> dependency.getTargetClass().getPackageName().startsWith(ROOT))
            .filter(dependency -> !allowed.contains(moduleOf(dependency.getTargetClass())))
            .forEach(
                dependency ->
                    events.add(SimpleConditionEvent.violated(type, dependency.getDescription())));
      }
    };
  }

  /** Compilers add statics of their own, such as the switch tables of enums. */
  private static DescribedPredicate<JavaField> areWritten() {
    return DescribedPredicate.describe(
        "are written by hand", field -> !field.getModifiers().contains(JavaModifier.SYNTHETIC));
  }

  private static ArchCondition<JavaField> notHoldState() {
    return new ArchCondition<>("not hold state") {
      @Override
      public void check(JavaField field, ConditionEvents events) {
        JavaClass type = field.getRawType();
        if (MUTABLE_PACKAGES.contains(type.getPackageName())
            || type.isAssignableTo(ThreadLocal.class)
            || type.isAssignableTo(Lock.class)
            || type.isAssignableTo(StringBuilder.class)
            || isMutableCollection(type)) {
          events.add(SimpleConditionEvent.violated(field, field.getFullName() + " holds state"));
        }
      }
    };
  }

  /** A field of an interface's type may hold an immutable collection; one of a class's cannot. */
  private static boolean isMutableCollection(JavaClass type) {
    return !type.isInterface()
        && (type.isAssignableTo(Iterable.class) || type.isAssignableTo(Map.class))
        && type.getPackageName().startsWith("java.util")
        && type.getSimpleName().matches(".*(List|Set|Map|Queue|Deque)");
  }
}
